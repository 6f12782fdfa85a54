//! `anyhub-bench doctor`: what is on this machine, what each hub lacks, and how to get it.

use std::io::{self, Write};
use std::process::Command;

use anyhub_local::{Requirement, State};

use crate::exit::Exit;
use crate::report::host;
use crate::sentiment::agreement;
use crate::tweets::Tweets;
use crate::units::bytes;

/// Something that was looked for.
#[derive(Debug)]
struct Finding {
    what: String,
    /// What is there, or how to get it.
    told: String,
    there: bool,
    /// A hub can't run without it.
    needed: bool,
}

/// Looks and prints; [`Exit::Unavailable`] when a hub can't run.
pub fn doctor(out: &mut dyn Write) -> io::Result<Exit> {
    let host = host();
    writeln!(
        out,
        "host    {}, {}, {} cores, {}",
        host.os,
        host.cpu,
        host.cores,
        bytes(host.memory_bytes)
    )?;
    writeln!(out, "memory  ready, in this process")?;
    let kafka: Vec<_> = anyhub_local::kafka::requirements()
        .iter()
        .map(of_requirement)
        .collect();
    let ready = kafka.iter().all(|finding| finding.there || !finding.needed);
    writeln!(
        out,
        "kafka   {}",
        if ready {
            "ready"
        } else {
            "can't be started, something is missing"
        }
    )?;
    print(out, &kafka)?;
    writeln!(
        out,
        "kinesis ready, a stand-in in this process; LocalStack, another server for it, is optional"
    )?;
    print_optional(out, anyhub_local::localstack::requirements())?;
    writeln!(out, "eventhubs ready, a stand-in in this process")?;
    writeln!(
        out,
        "pubsub  ready, a stand-in in this process; pstest, another server for it, is optional"
    )?;
    print_optional(out, anyhub_local::pstest::requirements())?;
    writeln!(out, "tweets")?;
    print(
        out,
        &[
            tweets(),
            program("pip, to fetch them", "pip", "apt-get install python3-pip"),
        ],
    )?;
    writeln!(out, "to build")?;
    print(
        out,
        &[
            program("Rust", "rustc", "install it from rustup.rs"),
            program("C compiler", "cc", "apt-get install gcc libc6-dev"),
        ],
    )?;
    Ok(if ready { Exit::Ok } else { Exit::Unavailable })
}

fn print_optional(out: &mut dyn Write, needs: Vec<Requirement>) -> io::Result<()> {
    let needs = needs.into_iter().map(Requirement::optional);
    let findings: Vec<_> = needs.map(|need| of_requirement(&need)).collect();
    print(out, &findings)
}

fn print(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    for Finding {
        what,
        told,
        there,
        needed,
    } in findings
    {
        let sign = match (there, needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "not there",
        };
        writeln!(out, "  {sign:<9}  {what}: {told}")?;
    }
    Ok(())
}

fn of_requirement(requirement: &Requirement) -> Finding {
    let (there, told) = match &requirement.state {
        State::Found { path, version } => {
            let version = version
                .as_ref()
                .map_or(String::new(), |version| format!("{version}, "));
            (true, format!("{version}{}", path.display()))
        }
        State::Missing { fix } => (false, fix.clone()),
    };
    Finding {
        what: requirement.what.clone(),
        told,
        there,
        needed: requirement.needed,
    }
}

fn program(what: &str, name: &str, fix: &str) -> Finding {
    let version = Command::new(name)
        .arg("--version")
        .output()
        .ok()
        .filter(|output| output.status.success());
    let told = version.as_ref().and_then(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .next()
            .map(str::to_owned)
    });
    Finding {
        what: what.into(),
        there: version.is_some(),
        told: told.unwrap_or_else(|| fix.into()),
        needed: false,
    }
}

fn tweets() -> Finding {
    let (there, told) = match Tweets::fetched() {
        Ok(Some(tweets)) => (true, rated(&tweets)),
        Ok(None) => (
            false,
            "generated ones are used; `anyhub-bench tweets fetch` gets the real ones".into(),
        ),
        Err(error) => (false, error.to_string()),
    };
    Finding {
        what: "real tweets".into(),
        told,
        there,
        needed: false,
    }
}

/// The source of the tweets, and how well their scores agree with the people who rated them.
fn rated(tweets: &Tweets) -> String {
    let texts: Vec<_> = tweets.iter().collect();
    let agreed = tweets
        .ratings()
        .and_then(|ratings| agreement(&texts, ratings));
    match agreed {
        Some(agreed) => format!(
            "{}; VADER's scores correlate {:.4} with the ratings",
            tweets.source(),
            agreed.correlation
        ),
        None => tweets.source().to_owned(),
    }
}
