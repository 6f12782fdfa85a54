//! Prints clause by hub by result, as Markdown, from what `ANYHUB_CONTRACT_OUT=FILE` collected.
//!
//! `contract-table FILE...`; exit code 1 if anything failed, 2 if a file can't be read.

use anyhub_conformance::{results, table};
use std::{env, fs, process::ExitCode};

fn main() -> ExitCode {
    let files: Vec<_> = env::args_os().skip(1).collect();
    if files.is_empty() {
        eprintln!("contract-table: name the files that ANYHUB_CONTRACT_OUT was set to");
        return ExitCode::from(2);
    }
    let mut records = Vec::new();
    for file in files {
        let name = file.to_string_lossy();
        let read = fs::read_to_string(&file).map_err(|error| error.to_string());
        match read.and_then(|text| results::read(&text)) {
            Ok(some) => records.extend(some),
            Err(error) => {
                eprintln!("contract-table: {name}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    print!("{}", table::of_results(&records));
    if records
        .iter()
        .any(|record| record.result == results::Ended::Fail)
    {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
