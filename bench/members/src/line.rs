use std::{fmt, time::Duration};

/// A line that a member tells on stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When that was; for an event, when it was delivered.
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// It was assigned this partition.
    Owns(String),
    /// It has it no more.
    GaveUp(String),
    /// Events of this partition were delivered.
    Came(String),
    /// It has worked on this event, and acknowledges it.
    Done(u64),
    /// A commit of this event's ack was confirmed.
    Confirmed(u64),
    /// It has done what it was asked.
    Answer(String),
}

impl What {
    pub(crate) fn at(self, at: Duration) -> Line {
        Line { at, what: self }
    }
}

impl Line {
    /// None for one that was cut off by a kill.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let at = Duration::from_nanos(words.next()?.parse().ok()?);
        let (kind, rest) = (words.next()?, words.next()?);
        let what = match kind {
            "+" => What::Owns(rest.to_owned()),
            "-" => What::GaveUp(rest.to_owned()),
            "came" => What::Came(rest.to_owned()),
            // All digits of it, or it may be another one's.
            "done" if rest.len() == 20 => What::Done(rest.parse().ok()?),
            "sure" if rest.len() == 20 => What::Confirmed(rest.parse().ok()?),
            "=" => What::Answer(rest.to_owned()),
            _ => return None,
        };
        Some(Self { at, what })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at.as_nanos())?;
        match &self.what {
            What::Owns(partition) => write!(f, "+ {partition}"),
            What::GaveUp(partition) => write!(f, "- {partition}"),
            What::Came(partition) => write!(f, "came {partition}"),
            What::Done(number) => write!(f, "done {number:020}"),
            What::Confirmed(number) => write!(f, "sure {number:020}"),
            What::Answer(answer) => write!(f, "= {answer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        for what in [
            What::Owns("3".into()),
            What::GaveUp("shardId-000000000001".into()),
            What::Came("0".into()),
            What::Done(1_234),
            What::Confirmed(1_234),
            What::Answer("late 3 0 Fenced 0".into()),
        ] {
            let line = what.at(Duration::from_nanos(7_000_000_001));
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
    }

    #[test]
    fn what_was_cut_off_is_none() {
        for text in [
            "",
            "7",
            "7 ",
            "7 done",
            "7 done 0000000000000000123",
            "x + 1",
        ] {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }
}
