//! The memory hub behind a layer that gives it shards and sequence numbers, as on Kinesis.

mod layered;

use anyhub_conformance::{mutants::sequenced, run};
use layered::Layered;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Layered {
        name: "sequence layer",
        layer: sequenced,
    })
}
