//! The `anyhub-local` command: starts an event hub on this machine and stops it again.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
