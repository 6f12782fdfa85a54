//! A server in a process of its own, so that its CPU time is not ours.

use crate::Result;
use std::{
    fmt::Display,
    io::{BufRead, BufReader, Write, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::{Mutex, PoisonError},
};

/// The argument that makes this program the server.
const SERVE: &str = "--serve";

/// This program, started again to serve a hub. It ends with this value, or with this process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    endpoint: String,
    /// None: it is to end.
    pipes: Mutex<Option<Pipes>>,
}

#[derive(Debug)]
struct Pipes {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What it answers to a request that went well.
const DONE: &str = "done";

impl Server {
    /// Starts this program as a server, and waits until it tells its endpoint.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().ok_or("the server has no stdin")?;
        let from = child.stdout.take().ok_or("the server has no stdout")?;
        let mut from = BufReader::new(from);
        let mut endpoint = String::new();
        from.read_line(&mut endpoint)?;
        Ok(Self {
            child,
            endpoint: endpoint.trim().to_owned(),
            pipes: Mutex::new(Some(Pipes { to, from })),
        })
    }

    /// Asks the server for something that its protocol has no words for, and waits until it is done.
    pub fn ask(&self, request: &str) -> Result<()> {
        let pipes = &mut *self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let pipes = pipes.as_mut().ok_or("the server has ended")?;
        writeln!(pipes.to, "{request}")?;
        let mut answer = String::new();
        pipes.from.read_line(&mut answer)?;
        match answer.trim() {
            DONE => Ok(()),
            answer => Err(format!("the server: {request}: {answer}").into()),
        }
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
        Self::serve_and_answer(start, |_, _| Err("nothing can be asked for"))
    }

    /// The same, and does with it what is [asked](Self::ask) for.
    pub fn serve_and_answer<T, E: Display, F: Display>(
        start: impl FnOnce() -> std::result::Result<(T, String), E>,
        mut answer: impl FnMut(&T, &str) -> std::result::Result<(), F>,
    ) -> ExitCode {
        let (server, endpoint) = match start() {
            Ok(started) => started,
            Err(error) => {
                eprintln!("overhead: {error}");
                return ExitCode::FAILURE;
            }
        };
        println!("{endpoint}");
        // An Err: nobody is there any more.
        for request in stdin().lines().map_while(|line| line.ok()) {
            let told = match answer(&server, &request) {
                Ok(()) => DONE.to_owned(),
                Err(error) => error.to_string(),
            };
            if writeln!(stdout(), "{told}").is_err() {
                break;
            }
        }
        ExitCode::SUCCESS
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its stdin does.
        drop(
            self.pipes
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if let Err(error) = self.child.wait() {
            eprintln!("overhead: the server: {error}");
        }
    }
}
