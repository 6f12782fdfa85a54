//! What a finished report means for the exit code, and what is printed of it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::to_stdout;
use crate::assertion::Assertion;
use crate::exit::Exit;
use crate::progress::to_stderr;
use crate::report::{self, Report, Status, Verdict};

/// Writes the files, prints the table or the JSON, judges the assertions. Whatever can't be written does not keep the rest from
/// being shown.
pub(super) fn conclude(report: &Report, folder: &Path, asserts: &[Assertion], json: bool) -> Exit {
    let written = report::write(folder, report);
    let mut exit = Exit::Ok;
    if report
        .hubs
        .iter()
        .any(|hub| hub.status == Status::Failed || failed_verdict(hub))
    {
        exit = Exit::Failed;
    }
    for outcome in asserts.iter().flat_map(|assertion| assertion.judge(report)) {
        to_stderr(&outcome.line);
        if !outcome.held {
            exit = Exit::Failed;
        }
    }
    if let Err(error) = &written {
        to_stderr(&format!(
            "error: {error}; the results go to stdout all the same"
        ));
        exit = Exit::Failed;
    }
    match to_stdout(|out| print(out, report, written.ok().as_deref(), json)) {
        Exit::Ok => exit,
        unprinted => unprinted,
    }
}

/// The table, or the JSON, and where the report is.
pub(super) fn print(
    out: &mut dyn Write,
    report: &Report,
    html: Option<&Path>,
    json: bool,
) -> io::Result<Exit> {
    let text = if json {
        report::json(report).unwrap_or_else(|error| format!("null // {error}\n"))
    } else {
        let color = io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        report::terminal(report, color)
    };
    out.write_all(text.as_bytes())?;
    if let Some(html) = html {
        let line = format!("report: {}", html.display());
        // JSON on stdout stays JSON.
        if json {
            to_stderr(&line);
        } else {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(Exit::Ok)
}

fn failed_verdict(hub: &report::Hub) -> bool {
    hub.delivery
        .as_ref()
        .is_some_and(|delivery| delivery.verdict == Verdict::Fail)
}
