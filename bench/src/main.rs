//! The command `anyhub-bench`. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    anyhub_bench::command::main().into()
}
