//! The local Kinesis in a process of its own, so that its CPU time is not ours.

use crate::Result;
use anyhub_local::kinesis::Kinesis;
use std::{
    io::{BufRead, BufReader, Read, stdin},
    process::{Child, Command, ExitCode, Stdio},
};

/// The argument that makes this program the server.
pub(crate) const SERVE: &str = "--serve";

pub(crate) struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the server has no stdout")?;
        let mut endpoint = String::new();
        BufReader::new(out).read_line(&mut endpoint)?;
        Ok(Self {
            child,
            endpoint: endpoint.trim().to_owned(),
        })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its stdin does.
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("overhead: the server: {error}");
        }
    }
}

/// Serves until stdin ends.
pub(crate) fn serve() -> ExitCode {
    match Kinesis::builder().shard_limit(10_000).start() {
        Ok(kinesis) => {
            println!("{}", kinesis.endpoint());
            stdin().read_to_end(&mut Vec::new()).ok();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}
