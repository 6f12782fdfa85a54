//! The same with what is off by default: records of several keys, headers in an envelope, and shards
//! that push.

mod stand_in;

use anyhub_conformance::run;
use anyhub_kinesis::Aggregation;
use stand_in::StandIn;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(StandIn::new("kinesis, other settings", |config| {
        config
            .aggregate(Aggregation::Shard)
            .envelope(true)
            .fanout("conformance")
    }))
}
