//! `--assert EXPR`: a condition on the report, such as `kafka.latency.end_to_end_us.p99 < 50ms`.
//!
//! The left side is a hub's name, or `*` for every hub that ran, and a path into that hub's object in report.json. The
//! operators are `<`, `<=`, `>`, `>=`, `==` and `!=`. The right side is a number, with a unit if wanted (`50ms` for a field
//! in microseconds, `1MiB` for one in bytes), a word (`pass`), or the path of another value
//! (`*.sentiment.digest == memory.sentiment.digest`).
//!
//! Names are checked before anything runs; a value that is missing afterwards, because its hub was skipped or failed, makes the
//! assertion false.

mod place;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use place::{Kind, Place, number, show};

use crate::nearest::hint;
use crate::report::{self, Hub, Report, Status};

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    text: String,
    left: Place,
    op: Op,
    right: Right,
}

#[derive(Debug, Clone, PartialEq)]
enum Right {
    Number(f64),
    Word(String),
    Place(Place),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// What one assertion came to on one hub.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether it held.
    pub held: bool,
    /// One line: the assertion and the actual value.
    pub line: String,
}

impl FromStr for Assertion {
    type Err = String;

    /// Reads an expression. The fields are checked against the report's shape here, the hubs by [`Assertion::check`].
    fn from_str(text: &str) -> Result<Self, String> {
        let (op, left, right) = split(text).ok_or_else(|| {
            format!(
                "'{text}' has no operator: write 'HUB.FIELD < VALUE' with <, <=, >, >=, == or !="
            )
        })?;
        let left = Place::parse(left)?;
        let right = right_side(&left, right)?;
        let ordered = !matches!(op, Op::Equal | Op::NotEqual);
        if ordered && matches!(left.kind()?, Kind::Word) {
            return Err(format!(
                "'{}' is no number: compare it with == or !=",
                left.field()
            ));
        }
        Ok(Self {
            text: text.trim().to_owned(),
            left,
            op,
            right,
        })
    }
}

impl Assertion {
    /// Whether the hubs that it names are among those of this run, and the phases that it reads will be run.
    pub fn check(&self, hubs: &[String], phases: &[report::Phase]) -> Result<(), String> {
        let right = match &self.right {
            Right::Place(place) => Some(place),
            _ => None,
        };
        for place in std::iter::once(&self.left).chain(right) {
            if place.hub != "*" && !hubs.contains(&place.hub) {
                let known = hubs.iter().map(String::as_str);
                let hint = hint(&place.hub, known);
                return Err(format!(
                    "'{}': no hub '{}' in this run (it has {}){hint}",
                    self.text,
                    place.hub,
                    hubs.join(", ")
                ));
            }
            for (phase, member) in [
                (report::Phase::Latency, "latency"),
                (report::Phase::Throughput, "throughput"),
            ] {
                if place.path[0] == member && !phases.contains(&phase) {
                    return Err(format!(
                        "'{}': the {member} phase is not run, see --phase",
                        self.text
                    ));
                }
            }
        }
        Ok(())
    }

    /// Judges the finished report; an outcome for each hub that the left side names.
    pub fn judge(&self, report: &Report) -> Vec<Outcome> {
        let hubs = report.hubs.iter().filter(|hub| {
            if self.left.hub == "*" {
                hub.status != Status::Skipped
            } else {
                hub.name == self.left.hub
            }
        });
        let outcomes: Vec<_> = hubs.map(|hub| self.judge_hub(hub, report)).collect();
        if outcomes.is_empty() {
            let line = format!("assertion failed: {}: no hub ran", self.text);
            return vec![Outcome { held: false, line }];
        }
        outcomes
    }

    fn judge_hub(&self, hub: &Hub, report: &Report) -> Outcome {
        let subject = format!("{}.{} {}", hub.name, self.left.field(), self.op);
        let right = match &self.right {
            Right::Number(n) => serde_json::Number::from_f64(*n).map_or(Value::Null, Value::Number),
            Right::Word(word) => Value::String(word.clone()),
            Right::Place(place) => match report.hubs.iter().find(|hub| hub.name == place.hub) {
                Some(other) => place.value_in(other),
                None => Value::Null,
            },
        };
        let expected = match &self.right {
            Right::Place(place) => format!("{place} ({})", show(&place.path, &right)),
            _ => show(&self.left.path, &right),
        };
        let actual = self.left.value_in(hub);
        let actual_text = match (&actual, hub.status) {
            (Value::Null, Status::Ok) => "it has no value".to_owned(),
            (Value::Null, status) => {
                format!(
                    "it has no value, {} was {}: {}",
                    hub.name,
                    status.as_str(),
                    hub.why.as_deref().unwrap_or("no reason")
                )
            }
            (value, _) => format!("it is {}", show(&self.left.path, value)),
        };
        let held = self.op.holds(&actual, &right);
        let word = if held { "ok" } else { "failed" };
        Outcome {
            held,
            line: format!("assertion {word}: {subject} {expected}: {actual_text}"),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Op {
    const ALL: [(&'static str, Self); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => None,
            },
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::String(b)) => Some(a.to_string().cmp(b)),
            _ => None,
        };
        // What is not there is neither equal nor unequal to anything.
        let Some(order) = order else { return false };
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(_, op)| op == self)
            .map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// At the first operator: `==` before `=`, `<=` before `<`.
fn split(text: &str) -> Option<(Op, &str, &str)> {
    let at = text.find(['<', '>', '=', '!'])?;
    let (name, op) = Op::ALL
        .into_iter()
        .find(|(name, _)| text[at..].starts_with(name))?;
    Some((op, &text[..at], &text[at + name.len()..]))
}

fn right_side(left: &Place, text: &str) -> Result<Right, String> {
    let text = text.trim().trim_matches(['"', '\'']);
    if text.is_empty() {
        return Err(format!(
            "'{left}' is compared with nothing: give a value after the operator"
        ));
    }
    match left.kind()? {
        Kind::Word => match Place::parse(text) {
            Ok(place) => Ok(Right::Place(place)),
            Err(_) => Ok(Right::Word(text.to_owned())),
        },
        Kind::Number => match number(left.path.last().map_or("", String::as_str), text) {
            Ok(number) => Ok(Right::Number(number)),
            Err(_) if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.contains('.') => {
                Place::parse(text).map(Right::Place)
            }
            Err(told) => Err(format!("{told}, which '{}' is compared with", left.field())),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn judge(text: &str) -> (bool, String) {
        let outcomes = text.parse::<Assertion>().unwrap().judge(&sample());
        (
            outcomes.iter().all(|o| o.held),
            outcomes
                .into_iter()
                .map(|o| o.line)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }

    fn refuse(text: &str) -> String {
        text.parse::<Assertion>().unwrap_err()
    }

    #[test]
    fn times_take_units_and_the_actual_value_is_told() {
        assert!(judge("kafka.latency.end_to_end_us.p99 < 50ms").0);
        assert!(judge("kafka.latency.end_to_end_us.p99 < 50000").0);
        let (held, line) = judge("kafka.latency.end_to_end_us.p99 <= 1ms");
        assert!(!held);
        assert_eq!(
            line,
            "assertion failed: kafka.latency.end_to_end_us.p99 <= 1000 (1.00 ms): it is 12415 (12.4 ms)"
        );
    }

    #[test]
    fn a_star_means_every_hub_that_ran() {
        let (held, lines) = judge("*.delivery.lost == 0");
        assert!(!held, "the sample's broken hub lost events");
        assert_eq!(lines.lines().count(), 3, "{lines}");
        assert!(
            lines.contains("broken.delivery.lost == 0: it is 3"),
            "{lines}"
        );
    }

    #[test]
    fn words_and_other_values_compare() {
        assert!(judge("kafka.delivery.verdict == pass").0);
        assert!(judge("broken.delivery.verdict == \"fail\"").0);
        assert!(judge("kafka.sentiment.digest == memory.sentiment.digest").0);
        assert!(
            judge("kafka.throughput.publish_events_per_s < memory.throughput.publish_events_per_s")
                .0
        );
        assert!(judge("kafka.throughput.receive_events_per_s >= 50k/s").0);
    }

    #[test]
    fn what_is_missing_is_false_either_way() {
        for text in ["away.delivery.lost == 0", "away.delivery.lost != 0"] {
            let (held, line) = judge(text);
            assert!(!held);
            assert!(
                line.contains("it has no value, away was skipped: "),
                "{line}"
            );
        }
    }

    #[test]
    fn mistakes_are_named_with_the_nearest() {
        assert!(
            refuse("kafka.latency.end_to_end_us.p95 < 1")
                .contains("did you mean 'latency.end_to_end_us.p9")
        );
        assert!(refuse("kafka.delivery.lots == 0").contains("did you mean 'delivery.lost'"));
        assert!(
            refuse("kafka.latency.publish_us < 1")
                .contains("is a group: name one of its fields, count")
        );
        assert!(refuse("kafka.delivery.lost").contains("no operator"));
        assert!(refuse("kafka.delivery.lost = 0").contains("no operator"));
        assert!(refuse("lost == 0").contains("HUB.FIELD"));
        assert!(refuse("kafka.delivery.lost == ").contains("nothing"));
        assert!(refuse("kafka.latency.end_to_end_us.p99 < 5 parsecs").contains("30s"));
        assert!(refuse("kafka.status < ok").contains("no number"));
        assert!(refuse("kafka.runs == 0").contains("list"));
    }

    #[test]
    fn hubs_and_phases_are_checked_before_the_run() {
        let hubs = ["memory".to_owned(), "kafka".to_owned()];
        let both = [report::Phase::Latency, report::Phase::Throughput];
        let lost: Assertion = "kafak.delivery.lost == 0".parse().unwrap();
        assert!(
            lost.check(&hubs, &both)
                .unwrap_err()
                .contains("did you mean 'kafka'")
        );
        let p99: Assertion = "kafka.latency.publish_us.p99 < 1s".parse().unwrap();
        assert!(p99.check(&hubs, &both).is_ok());
        assert!(
            p99.check(&hubs, &both[1..])
                .unwrap_err()
                .contains("--phase")
        );
    }
}
