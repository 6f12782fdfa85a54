//! A server in a process of its own, so that its CPU time is not ours.

use crate::Result;
use std::{
    fmt::Display,
    io::{BufRead, BufReader, Read, stdin},
    process::{Child, Command, ExitCode, Stdio},
};

/// The argument that makes this program the server.
const SERVE: &str = "--serve";

/// This program, started again to serve a hub. It ends with this value, or with this process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    /// Starts this program as a server, and waits until it tells its endpoint.
    pub fn start() -> Result<Self> {
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

    /// What the server told.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether this program is to be the server: asked first thing in `main`.
    pub fn is_wanted() -> bool {
        std::env::args().nth(1).as_deref() == Some(SERVE)
    }

    /// Serves what `start` gives, with its endpoint, until stdin ends.
    pub fn serve<T, E: Display>(
        start: impl FnOnce() -> std::result::Result<(T, String), E>,
    ) -> ExitCode {
        match start() {
            Ok((_server, endpoint)) => {
                println!("{endpoint}");
                stdin().read_to_end(&mut Vec::new()).ok();
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("overhead: {error}");
                ExitCode::FAILURE
            }
        }
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
