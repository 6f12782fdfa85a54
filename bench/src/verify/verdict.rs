//! The rules: what each guarantee allows.
//!
//! | | at-most-once | at-least-once | exactly-once |
//! |---|---|---|---|
//! | lost, gaps | allowed | 0 | 0 |
//! | phantom, corrupt, order, replay, position, two owners | 0 | 0 | 0 |
//! | duplicates in the log, of acknowledged events | 0 | 0 where the hub declares idempotence | 0 |
//! | redelivered | 0 | allowed | 0 |
//! | failed, indeterminate (seen or not) | allowed | allowed | allowed |
//! | a send that never resolved | 0 | 0 | 0 |
//!
//! An indeterminate event may occur any number of times at any later place (P3), so it breaks
//! neither order nor idempotence. A run in which nothing was acknowledged proves nothing and does
//! not pass.

use serde::{Deserialize, Serialize};

use super::findings::Findings;

/// What is asked of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Never twice.
    AtMostOnce,
    /// Never lost.
    #[default]
    AtLeastOnce,
    /// Neither.
    ExactlyOnce,
}

impl Guarantee {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce];

    /// As it is written in options and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtMostOnce => "at-most-once",
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

/// What a hub is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// What is asked of it.
    pub guarantee: Guarantee,
    /// Whether it declares that a retry inside the producer can't write twice.
    pub idempotent: bool,
}

/// Why the hub did not keep what was asked of it; empty where it did.
pub fn verdict(findings: &Findings, two_owners: u64, promise: Promise) -> Vec<String> {
    let once = promise.guarantee != Guarantee::AtLeastOnce;
    let may_lose = promise.guarantee == Guarantee::AtMostOnce;
    let mut why = Vec::new();
    let mut none = |count: u64, forbidden: bool, what: &str| {
        if forbidden && count > 0 {
            why.push(format!("{count} {what}"));
        }
    };
    none(findings.lost, !may_lose, "acknowledged and never received");
    none(
        findings.gaps,
        !may_lose,
        "of these overtaken by a later event of their key",
    );
    none(
        findings.phantom,
        true,
        "received that were never sent, or whose send had failed",
    );
    none(findings.corrupt, true, "received damaged");
    none(
        findings.order_violations,
        true,
        "received after a later event of their key",
    );
    none(
        findings.replay_violations,
        true,
        "replays that left out an event delivered before",
    );
    none(
        findings.position_violations,
        true,
        "at a position that is not theirs alone",
    );
    none(
        findings.duplicates_of_acked,
        once || promise.idempotent,
        "written more than once",
    );
    none(findings.redelivered, once, "delivered more than once");
    none(findings.unresolved, true, "sends that never resolved");
    none(two_owners, true, "times a partition had two owners");
    if findings.sent > 0 && findings.acked == 0 {
        why.push(format!("none of {} sends was acknowledged", findings.sent));
    } else if findings.sent == 0 {
        why.push("nothing was sent".into());
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        guarantee: Guarantee,
        idempotent: bool,
        change: impl Fn(&mut Findings),
    ) -> Vec<String> {
        let mut findings = Findings {
            sent: 10,
            acked: 10,
            delivered: 10,
            ..Findings::default()
        };
        change(&mut findings);
        verdict(
            &findings,
            0,
            Promise {
                guarantee,
                idempotent,
            },
        )
    }

    #[test]
    fn the_table_holds() {
        use Guarantee::*;
        type Change = fn(&mut Findings);
        // What, then whether it is allowed at most once, at least once (not idempotent and
        // idempotent), exactly once.
        let rows: [(Change, [bool; 4]); 12] = [
            (|_| (), [true, true, true, true]),
            (|all| all.lost = 1, [true, false, false, false]),
            (|all| all.gaps = 1, [true, false, false, false]),
            (|all| all.phantom = 1, [false; 4]),
            (|all| all.corrupt = 1, [false; 4]),
            (|all| all.order_violations = 1, [false; 4]),
            (|all| all.replay_violations = 1, [false; 4]),
            (|all| all.position_violations = 1, [false; 4]),
            (
                |all| all.duplicates_of_acked = 1,
                [false, true, false, false],
            ),
            (|all| all.redelivered = 1, [false, true, true, false]),
            (|all| all.unresolved = 1, [false; 4]),
            (
                |all| (all.acked, all.failed, all.indeterminate) = (8, 1, 1),
                [true; 4],
            ),
        ];
        for (row, (change, allowed)) in rows.iter().enumerate() {
            let columns = [
                (AtMostOnce, true),
                (AtLeastOnce, false),
                (AtLeastOnce, true),
                (ExactlyOnce, true),
            ];
            for ((guarantee, idempotent), allowed) in columns.into_iter().zip(allowed) {
                let why = judge(guarantee, idempotent, change);
                assert_eq!(
                    why.is_empty(),
                    *allowed,
                    "row {row}, {guarantee:?}: {why:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_acknowledged_is_no_pass() {
        assert!(
            !judge(Guarantee::AtLeastOnce, true, |all| (
                all.acked, all.failed
            ) = (0, 10))
            .is_empty()
        );
        assert!(
            !judge(Guarantee::AtLeastOnce, true, |all| (all.sent, all.acked) =
                (0, 0))
            .is_empty()
        );
    }
}
