//! What the trait costs: the raw SDK and anyhub in turns on one local Event Hubs, which runs in a
//! process of its own, without limits.
//!
//! `cargo bench -p anyhub-eventhubs --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000
//! --only publish]`. A producer is open before its clock runs; a reader's opening counts.
//! What it prints: `anyhub_overhead`.
//!
//! - `publish`: the SDK with the same links: each event goes to the partition of its key, with its key, a
//!   task a partition has one batch of up to the link's limit in flight.
//! - `publish-best`: the SDK as fast as it goes, without order and keys; anyhub as it is by default, in
//!   order.
//! - `receive`: the SDK with a task a partition, an event after the other; all go to one place, where the
//!   application looks at them.
//!
//! The SDK runs on one thread, here as in anyhub: on more of them its sends may hang for ever.

mod namespace;
mod publish;
mod receive;

use anyhub_eventhubs::{EventHubsConfig, EventHubsHub, LeasesIn};
use anyhub_overhead::{Arguments, Bench, Result, Server};
use namespace::Namespace;
use publish::{Best, Publish};
use receive::Receive;
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    if Server::is_wanted() {
        return namespace::serve();
    }
    anyhub_overhead::main(&[], measure)
}

fn measure(arguments: &Arguments) -> Result<Vec<String>> {
    arguments.each(
        &["publish", "publish-best", "receive"],
        |what, size, lines| {
            let namespace = Arc::new(Namespace::start()?);
            let config = EventHubsConfig::new()
                .namespace("localhost")
                .endpoint(namespace.endpoint())
                .leases(LeasesIn::Memory)
                .provisioner(namespace.clone());
            let bench = Bench::new(EventHubsHub::new(config)?, arguments, size)?;
            match what {
                "publish" => bench.compare(what, &mut Publish::open(&bench, &namespace)?, lines)?,
                "publish-best" => bench.compare(what, &mut Best::new(namespace), lines)?,
                _ => bench.compare(what, &mut Receive::fill(&bench, &namespace)?, lines)?,
            }
            bench.close()
        },
    )
}
