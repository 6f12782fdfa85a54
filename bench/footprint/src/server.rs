//! The server's process: this program, started again.

use crate::{Counts, Outcome, Stage, resident};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The option that makes it the server.
pub(crate) const OPTION: &str = "server";

/// It says where it is, then on each line what it has taken and stored, and ends with its input.
pub(crate) fn serve<S: Stage>() -> Outcome {
    let server = S::start()?;
    println!("{}", server.endpoint());
    for line in std::io::stdin().lines() {
        line?;
        let Counts { came, stored } = server.counts();
        println!("{came} {stored}");
    }
    Ok(())
}

/// The same from outside.
pub(crate) struct Server {
    process: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start() -> Outcome<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(format!("--{OPTION}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(ask), Some(told)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the server has no stdin or stdout".into());
        };
        let told = BufReader::new(told);
        Ok(Self { process, ask, told })
    }

    pub(crate) fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    pub(crate) fn counts(&mut self) -> Outcome<Counts> {
        writeln!(self.ask)?;
        let line = self.line()?;
        let (came, stored) = line.split_once(' ').ok_or("the server has ended")?;
        Ok(Counts {
            came: came.parse()?,
            stored: stored.parse()?,
        })
    }

    pub(crate) fn resident(&self) -> Outcome<u64> {
        Ok(resident(&self.process.id().to_string()).ok_or("the server has ended")?)
    }

    /// Its input ends, and so does it.
    pub(crate) fn stop(self) -> Outcome {
        let Self {
            mut process, ask, ..
        } = self;
        drop(ask);
        process.wait()?;
        Ok(())
    }
}
