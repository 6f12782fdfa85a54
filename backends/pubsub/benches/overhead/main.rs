//! What the trait costs: the raw SDK and anyhub in turns on one local Pub/Sub, which runs in a process of its
//! own, without limits.
//!
//! `cargo bench -p anyhub-pubsub --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000 --only publish]`.
//! A producer is open before its clock runs; a reader's opening counts. What it prints: `anyhub_overhead`.
//!
//! - `publish`: the SDK's publisher with the same ordering keys, the same linger and as many messages in flight.
//! - `publish-best`: the SDK's publisher as fast as it goes, without keys and order, in the largest requests; anyhub as
//!   it is by default, in order.
//! - `receive`: the SDK's subscriber on a subscription with ordering, with as many messages outstanding, each acknowledged.

mod publish;
mod receive;

use anyhub_local::pubsub::PubSub;
use anyhub_overhead::{Arguments, Bench, Result, Server};
use anyhub_pubsub::{NativeHub, PubSubConfig, PubSubHub};
use publish::Publish;
use receive::Receive;
use std::process::ExitCode;

/// What a topic keeps of what was read: all of it, since it is read again and again.
const KEPT: usize = 4 << 30;

fn main() -> ExitCode {
    if Server::is_wanted() {
        return Server::serve(|| {
            let server = PubSub::builder()
                .retained_bytes(KEPT)
                .backlog_bytes(KEPT)
                .start()?;
            let endpoint = server.endpoint();
            Ok::<_, anyhub_local::Error>((server, endpoint))
        });
    }
    anyhub_overhead::main(&[], measure)
}

fn measure(arguments: &Arguments) -> Result<Vec<String>> {
    arguments.each(
        &["publish", "publish-best", "receive"],
        |what, size, lines| {
            let server = Server::start()?;
            let config = PubSubConfig::new(PROJECT).endpoint(server.endpoint());
            let bench = Bench::new(PubSubHub::new(config)?, arguments, size)?;
            match what {
                "publish" => bench.compare(what, &mut Publish::ordered(), lines)?,
                "publish-best" => bench.compare(what, &mut Publish::best(), lines)?,
                _ => bench.compare(what, &mut Receive::fill(&bench)?, lines)?,
            }
            bench.close()
        },
    )
}

const PROJECT: &str = "local";

fn topic_name(id: &str) -> String {
    format!("projects/{PROJECT}/topics/{id}")
}

/// The SDK's clients, to the same place.
fn native(bench: &Bench) -> Result<&NativeHub> {
    let native = bench.hub.native().downcast_ref();
    Ok(native.ok_or("another hub's native")?)
}
