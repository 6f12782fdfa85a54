use crate::{Outcome, command, line::Line};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
};

/// A line of a member's, or its end.
pub(crate) type Told = (usize, Option<Line>);

/// A member's process. It ends with this value; should this process end first, with its stdin.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    pid: Pid,
}

impl Process {
    /// Starts this program again as member `id`, whose lines go to `tell`.
    pub(crate) fn start(
        id: usize,
        seat: &command::Seat,
        tell: mpsc::UnboundedSender<Told>,
    ) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(seat.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the member has no stdin or stdout".into());
        };
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(Pid::from_raw).ok_or("the member has no id")?;
        tokio::spawn(async move {
            let mut lines = BufReader::new(out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(line) = Line::parse(&line) {
                    tell.send((id, Some(line))).ok();
                }
            }
            tell.send((id, None)).ok();
        });
        Ok(Self { child, stdin, pid })
    }

    /// Asks it for something.
    pub(crate) async fn ask(&mut self, word: &str) -> Outcome {
        Ok(self.stdin.write_all(format!("{word}\n").as_bytes()).await?)
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }

    /// Stops it where it stands, with SIGSTOP.
    pub(crate) fn freeze(&self) -> Outcome {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    /// Lets it run on.
    pub(crate) fn thaw(&self) -> Outcome {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Lets it leave the group, and waits until it has.
    pub(crate) async fn leave(self) -> Outcome {
        let Self {
            mut child, stdin, ..
        } = self;
        drop(stdin);
        match child.wait().await? {
            status if status.success() => Ok(()),
            status => Err(format!("a member that left ended with {status}").into()),
        }
    }
}
