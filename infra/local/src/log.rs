//! What a server wrote to its log before it failed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log's end is enough, however long it is.
const READ: u64 = 256 * 1024;
const TAIL_LINES: usize = 20;
const CAUSE_CHARS: usize = 300;

/// The log of a server, from its last start on.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    path: PathBuf,
    start: u64,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        Log { path, start: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is there already is of an earlier start.
    pub(crate) fn mark(&mut self) {
        self.start = fs::metadata(&self.path).map_or(0, |file| file.len());
    }

    /// The last lines, or why they can't be read.
    pub(crate) fn tail(&self) -> String {
        match self.end() {
            Ok(text) => {
                let lines: Vec<_> = text.lines().collect();
                lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
            }
            Err(e) => format!("the log can't be read: {e}"),
        }
    }

    /// The one line that says best why the server failed.
    pub(crate) fn cause(&self) -> String {
        match self.end() {
            Ok(text) => cause_in(&text),
            Err(e) => format!("the log can't be read: {e}"),
        }
    }

    /// The first line that holds `mark`: for programs that end with advice.
    pub(crate) fn first(&self, mark: &str) -> Option<String> {
        let text = self.end().ok()?;
        let line = text.lines().find(|line| line.contains(mark))?;
        Some(line.chars().take(CAUSE_CHARS).collect())
    }

    /// True if the server could not listen because a port was in use.
    pub(crate) fn is_port_clash(&self) -> bool {
        self.end().is_ok_and(|text| {
            text.contains("java.net.BindException")
                || text.to_lowercase().contains("address already in use")
        })
    }

    fn end(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.start.max(length.saturating_sub(READ))))?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn cause_in(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // A Go program says why first, and where last.
    let panic = lines.iter().find(|line| line.starts_with("panic: "));
    let error = lines.iter().rposition(|line| line.contains("ERROR"));
    // The stack trace that follows the last error names the exception, and below it what that one came from.
    let trace = &lines[error.unwrap_or(0)..];
    let exception = |line: &&&str| line.contains("Exception: ") || line.contains("Error: ");
    let line = trace
        .iter()
        .rfind(|line| line.starts_with("Caused by: "))
        .or(panic)
        .or_else(|| trace.iter().find(exception))
        .or_else(|| error.map(|at| &lines[at]))
        .or_else(|| lines.iter().rfind(|line| !line.is_empty()))
        .copied()
        .unwrap_or("the log is empty");
    line.trim_start_matches("Caused by: ")
        .chars()
        .take(CAUSE_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_innermost_exception_of_the_last_error() {
        let text = "[main] INFO a\n[main] ERROR Exiting due to fatal exception\nx.ConfigException: Invalid value\n\tat x\n";
        assert_eq!(cause_in(text), "x.ConfigException: Invalid value");
        let nested = "ERROR bad\na.KafkaException: no\n\tat x\nCaused by: java.net.BindException: Address already in use\n\tat y\n";
        assert_eq!(
            cause_in(nested),
            "java.net.BindException: Address already in use"
        );
        let maven = "[ERROR] Failed to execute goal: could not transfer\n";
        assert_eq!(
            cause_in(maven),
            "[ERROR] Failed to execute goal: could not transfer"
        );
        let go = "panic: listen tcp: bind: address already in use\n\ngoroutine 1 [running]:\nmain.main()\n";
        assert_eq!(
            cause_in(go),
            "panic: listen tcp: bind: address already in use"
        );
        assert_eq!(cause_in("sh: java: not found\n\n"), "sh: java: not found");
        assert_eq!(cause_in(""), "the log is empty");
    }

    #[test]
    fn a_log_that_is_not_there_is_said_so() {
        let log = Log::new("/nonexistent/x.log".into());
        assert!(log.tail().contains("can't be read"));
        assert!(log.cause().contains("can't be read"));
    }

    #[test]
    fn an_earlier_start_is_not_read_again() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.log");
        fs::write(&path, "java.net.BindException: Address already in use\n")?;
        let mut log = Log::new(path.clone());
        assert!(log.is_port_clash());
        log.mark();
        assert!(!log.is_port_clash());
        let mut lines = fs::read_to_string(&path)?;
        for n in 0..50 {
            lines += &format!("line {n}\n");
        }
        fs::write(&path, lines)?;
        assert_eq!(log.tail().lines().count(), TAIL_LINES);
        assert_eq!(log.tail().lines().last(), Some("line 49"));
        assert_eq!(log.first("line").as_deref(), Some("line 0"));
        Ok(())
    }
}
