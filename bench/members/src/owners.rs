//! Who owned a partition when, and who delivered from it.

use std::{collections::HashMap, time::Duration};

/// Something that a member told of a partition.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    at: Duration,
    member: usize,
    partition: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Owns,
    GaveUp,
    Came,
}

impl Step {
    /// It was assigned the partition.
    pub(crate) fn owns(at: Duration, member: usize, partition: String) -> Self {
        Self::new(at, member, partition, Kind::Owns)
    }

    /// It was told that it has it no more, or has ended.
    pub(crate) fn gave_up(at: Duration, member: usize, partition: String) -> Self {
        Self::new(at, member, partition, Kind::GaveUp)
    }

    /// It delivered from it.
    pub(crate) fn came(at: Duration, member: usize, partition: String) -> Self {
        Self::new(at, member, partition, Kind::Came)
    }

    fn new(at: Duration, member: usize, partition: String, kind: Kind) -> Self {
        Self {
            at,
            member,
            partition,
            kind,
        }
    }
}

/// How partitions went from one member to another.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handovers {
    /// How often one went to another member.
    pub(crate) times: u64,
    /// For how long at most a partition was still its last owner's when it was the next one's already.
    pub(crate) overlap: Duration,
    /// Batches that an earlier owner delivered after the next one's first.
    pub(crate) after_first: u64,
    /// Batches of a partition that was never assigned to who delivered it, or was given up.
    pub(crate) unowned: u64,
}

/// A partition, as one step after the other makes it.
#[derive(Debug, Default)]
struct Part {
    /// Who was told to own it and not told otherwise, since when.
    owners: Vec<(usize, Duration)>,
    /// Who has delivered last of those that came to own it one after the other.
    current: Option<usize>,
    past: Vec<usize>,
}

/// What follows from these steps, told in any order.
pub(crate) fn handovers(mut steps: Vec<Step>) -> Handovers {
    // What a member told at once stays in its order.
    steps.sort_by_key(|step| step.at);
    let mut parts: HashMap<String, Part> = HashMap::new();
    let mut told = Handovers::default();
    for Step {
        at,
        member,
        partition,
        kind,
    } in steps
    {
        let part = parts.entry(partition).or_default();
        match kind {
            Kind::Owns => {
                part.owners.retain(|(owner, _)| *owner != member);
                part.owners.push((member, at));
                part.past.retain(|past| *past != member);
            }
            Kind::GaveUp => {
                let mut own = part.owners.iter().skip_while(|(owner, _)| *owner != member);
                // The one that came to own it next.
                if let Some((_, since)) = own.nth(1) {
                    told.overlap = told.overlap.max(at.saturating_sub(*since));
                }
                part.owners.retain(|(owner, _)| *owner != member);
            }
            Kind::Came => {
                let owns = part.owners.iter().any(|(owner, _)| *owner == member);
                told.unowned += u64::from(!owns);
                told.after_first += u64::from(part.past.contains(&member));
                if part.current != Some(member)
                    && !part.past.contains(&member)
                    && let Some(last) = part.current.replace(member)
                {
                    part.past.push(last);
                    told.times += 1;
                }
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(steps: &[(u64, usize, Kind)]) -> Handovers {
        let steps = steps.iter().map(|&(ms, member, kind)| {
            Step::new(Duration::from_millis(ms), member, "p".into(), kind)
        });
        handovers(steps.collect())
    }

    use Kind::{Came, GaveUp, Owns};

    #[test]
    fn to_another_and_back_in_good_order() {
        let good = told(&[
            (1, 0, Owns),
            (1, 0, Came),
            (2, 0, GaveUp),
            (3, 1, Owns),
            (3, 1, Came),
            (4, 1, GaveUp),
            (5, 0, Owns),
            (6, 0, Came),
            (7, 0, Came),
        ]);
        let times = Handovers {
            times: 2,
            ..Handovers::default()
        };
        assert_eq!(good, times);
    }

    #[test]
    fn an_owner_that_knows_late_overlaps_and_may_not_deliver() {
        let late = told(&[
            (1, 0, Owns),
            (1, 0, Came),
            (10, 1, Owns),
            // Not yet overtaken.
            (20, 0, Came),
            (30, 1, Came),
            (40, 0, Came),
            (50, 0, GaveUp),
            (60, 0, Came),
        ]);
        let overlap = Duration::from_millis(40);
        assert_eq!(
            late,
            Handovers {
                times: 1,
                overlap,
                after_first: 2,
                unowned: 1
            }
        );
    }
}
