//! The memory hub behind a layer that takes its partitions away, as on Pub/Sub: a group shares a topic.

mod layered;

use anyhub_conformance::{mutants::unpartitioned, run};
use layered::Layered;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Layered {
        name: "unpartitioned layer",
        layer: unpartitioned,
    })
}
