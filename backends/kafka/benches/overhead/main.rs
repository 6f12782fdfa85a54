//! What the trait costs: raw rdkafka and anyhub in turns on one broker, with the same settings.
//!
//! `cargo bench -p anyhub-kafka --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000
//! --only publish --bootstrap HOST:PORT]`; without `--bootstrap` it starts a broker of its own.
//! Start-up is counted out: clocks run from the first event. What it prints: `anyhub_overhead`.

mod publish;
mod receive;

use anyhub_core::Retention;
use anyhub_kafka::{KafkaConfig, KafkaHub};
use anyhub_overhead::{Arguments, Bench, Result};
use publish::Publish;
use receive::Receive;
use std::process::ExitCode;

const BOOTSTRAP: &str = "--bootstrap";

fn main() -> ExitCode {
    anyhub_overhead::main(&[BOOTSTRAP], measure)
}

fn measure(arguments: &Arguments) -> Result<Vec<String>> {
    let broker = match arguments.other(BOOTSTRAP) {
        None => Some(anyhub_local::Kafka::builder().start()?),
        Some(_) => None,
    };
    let bootstrap = match (arguments.other(BOOTSTRAP), &broker) {
        (Some(given), _) => given.to_owned(),
        (None, Some(broker)) => broker.bootstrap(),
        (None, None) => return Err("no broker".into()),
    };
    arguments.each(&["publish", "receive"], |what, size, lines| {
        let hub = KafkaHub::new(KafkaConfig::new(&bootstrap))?;
        let bench = Bench::new(hub, arguments, size)?
            // Until the broker's compiler has come to rest.
            .warm_up(3)
            // What is published is not read: let it go.
            .retention(Retention::new().bytes(4 << 30));
        match what {
            "publish" => bench.compare(what, &mut Publish::new(&bootstrap), lines)?,
            _ => bench.compare(what, &mut Receive::fill(&bench, &bootstrap)?, lines)?,
        }
        bench.close()
    })
}
