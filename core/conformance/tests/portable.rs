//! The memory hub behind a layer that declares the portable contract alone, and refuses the rest.

mod layered;

use anyhub_conformance::{mutants::portable, run};
use layered::Layered;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Layered {
        name: "portable layer",
        layer: portable,
    })
}
