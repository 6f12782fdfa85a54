//! Carries out what was typed.

mod interrupt;
mod outcome;
mod run;

use std::io::{self, Write};

use crate::bad_input::BadInput;
use crate::cli::{self, Cli, Command, ReportArgs, TweetsCommand};
use crate::doctor::doctor;
use crate::exit::Exit;
use crate::progress::to_stderr;
use crate::report;
use crate::tweets;

/// Parses the command line, carries it out, and says how the program ends. Nothing panics on what was typed.
pub fn main() -> Exit {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        // Help and version come as errors too; they go to stdout and are none.
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return Exit::Ok;
        }
        // Without any argument: the help, since there is nothing to point at.
        Err(error)
            if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            let _ = error.print();
            return Exit::Usage;
        }
        Err(error) => {
            to_stderr(&cli::one_line(&error));
            return Exit::Usage;
        }
    };
    match carry_out(cli.command) {
        Ok(exit) => exit,
        Err(error) => {
            to_stderr(&format!("error: {error}"));
            Exit::Usage
        }
    }
}

fn carry_out(command: Command) -> Result<Exit, BadInput> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Report(args) => redraw(&args),
        Command::Tweets {
            command: TweetsCommand::Fetch,
        } => Ok(fetch()),
        Command::Doctor => Ok(to_stdout(|out| doctor(out))),
        Command::Completions { shell } => Ok(to_stdout(|out| {
            // clap_complete panics where it can't write, so it writes to memory first.
            let mut text = Vec::new();
            cli::completions(shell, &mut text);
            out.write_all(&text)?;
            Ok(Exit::Ok)
        })),
        Command::Compare(_) => Err(later("compare")),
        Command::Cost(_) => Err(later("cost")),
    }
}

fn later(what: &str) -> BadInput {
    BadInput::new(format!("{what} is not in this version"))
}

fn redraw(args: &ReportArgs) -> Result<Exit, BadInput> {
    let report = report::read(&args.folder).map_err(|error| BadInput::new(error.to_string()))?;
    Ok(match report::redraw(&args.folder, &report) {
        Ok(html) => to_stdout(|out| outcome::print(out, &report, Some(&html), args.json)),
        Err(error) => {
            to_stderr(&format!("error: {error}"));
            Exit::Failed
        }
    })
}

/// A reader of stdout that went away, such as `head`, is no failure.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<Exit>) -> Exit {
    let mut out = io::stdout().lock();
    match write(&mut out) {
        Ok(exit) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => {
            to_stderr(&format!("error: can't write to stdout: {error}"));
            Exit::Failed
        }
    }
}

fn fetch() -> Exit {
    match tweets::fetch() {
        Ok(fetched) => {
            to_stderr(&format!("to be cited: {}", tweets::CITATION));
            to_stdout(|out| {
                let how = if fetched.already {
                    "already there"
                } else {
                    "fetched"
                };
                writeln!(
                    out,
                    "{} real tweets, {how}: {}",
                    fetched.count,
                    fetched.path.display()
                )?;
                Ok(Exit::Ok)
            })
        }
        Err(error) => {
            to_stderr(&format!("error: {error}"));
            Exit::Failed
        }
    }
}
