//! What the trait costs, and what order costs: the raw SDK and anyhub in turns on one local Kinesis,
//! which runs in a process of its own, without limits.
//!
//! `cargo bench -p anyhub-kinesis --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000
//! --only publish]`. A producer is open before its clock runs; a reader's opening counts.
//! What it prints: `anyhub_overhead`.
//!
//! - `publish`: the SDK with the same lanes: each event goes to the lane of its key, a task a shard has
//!   one PutRecords of up to 500 records in flight, an event a record.
//! - `publish-best`: the SDK as fast as it goes, without order; anyhub as it is by default, in order.
//! - `receive`: the SDK with a task a shard, one GetRecords of up to 10,000 records in flight in each; all
//!   go to one place, where the application looks at them.

mod publish;
mod receive;

use anyhub_kinesis::{Aggregation, KinesisConfig, KinesisHub, LeasesIn, NativeHub};
use anyhub_local::kinesis::Kinesis;
use anyhub_overhead::{Arguments, Bench, Result, Server};
use aws_sdk_kinesis::Client;
use publish::{Best, Publish};
use receive::Receive;
use std::process::ExitCode;

fn main() -> ExitCode {
    if Server::is_wanted() {
        return Server::serve(|| {
            let kinesis = Kinesis::builder().shard_limit(10_000).start()?;
            let endpoint = kinesis.endpoint();
            Ok::<_, anyhub_local::Error>((kinesis, endpoint))
        });
    }
    anyhub_overhead::main(&[], measure)
}

fn measure(arguments: &Arguments) -> Result<Vec<String>> {
    arguments.each(
        &["publish", "publish-best", "receive"],
        |what, size, lines| {
            // What is published is not read, and stays in memory: each has a server of its own.
            let server = Server::start()?;
            let aggregate = match what {
                "publish-best" => Aggregation::Key,
                _ => Aggregation::Off,
            };
            let config = KinesisConfig::new()
                .region("us-east-1")
                .endpoint(server.endpoint())
                .max_batch_bytes(5 << 20)
                .read_share(None)
                .aggregate(aggregate)
                .leases(LeasesIn::Memory);
            let bench = Bench::new(KinesisHub::new(config)?, arguments, size)?;
            match what {
                "publish" => bench.compare(what, &mut Publish, lines)?,
                "publish-best" => bench.compare(what, &mut Best, lines)?,
                _ => bench.compare(what, &mut Receive::fill(&bench)?, lines)?,
            }
            bench.close()
        },
    )
}

/// The client that anyhub uses, with its settings.
fn client(bench: &Bench) -> Result<Client> {
    let native = bench.hub.native().downcast_ref::<NativeHub>();
    let client = native.and_then(NativeHub::client).cloned();
    client.ok_or_else(|| "the hub has no client".into())
}
