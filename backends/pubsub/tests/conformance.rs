//! Pub/Sub against the whole contract, on the stand-in.

mod stand_in;

use anyhub_conformance::run;
use stand_in::StandIn;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(StandIn::new("pubsub", |config| config))
}
