//! Negative controls: each defect is found, by the right counter and no other.

mod outcomes;

use anyhub_core::{Partition, Position};
use proptest::prelude::*;

use super::*;
use crate::payload::{Damage, Header};

const RUN: u64 = 42;

/// A log of one partition, and what its readers are handed.
struct Log {
    ledger: Ledger,
    positions: Positions,
}

fn header(key: u32, sequence: u64) -> Header {
    Header {
        run: RUN,
        key,
        producer: 0,
        incarnation: 0,
        phase: 2,
        sequence,
        intended_ns: 0,
        actual_ns: 0,
    }
}

fn at(offset: i64) -> (Partition, Position) {
    (Partition::number(0), Position::offset(offset))
}

impl Log {
    /// `keys` keys with `each` events, all sent, in turns: event i is (i % keys, i / keys), at
    /// offset i, acknowledged there.
    fn new(keys: u32, each: u32) -> Self {
        let ledger = Ledger::new(RUN, &vec![each; keys as usize]);
        for sequence in 0..u64::from(each) {
            for key in 0..keys {
                ledger.sent(key, sequence);
                let (partition, position) = at(sequence as i64 * i64::from(keys) + i64::from(key));
                ledger.resolved(
                    key,
                    sequence,
                    Outcome::Acked(Some(Place::of(&partition, &position))),
                );
            }
        }
        Self {
            ledger,
            positions: Positions::new(),
        }
    }

    fn hand(&mut self, key: u32, sequence: u64, offset: i64) -> Seen {
        let (partition, position) = at(offset);
        let seen = self
            .ledger
            .delivered(&header(key, sequence), &partition, &position);
        if seen == Seen::First {
            self.positions.first(&partition, &position);
        }
        seen
    }

    fn finish(self) -> Findings {
        let mut findings = self.ledger.finish(|key| format!("user-{key}"));
        findings.position_violations += Positions::shared(&mut [self.positions]);
        findings
    }
}

fn problems(findings: &Findings) -> Vec<String> {
    verdict(
        findings,
        0,
        Promise {
            guarantee: Guarantee::ExactlyOnce,
            idempotent: true,
        },
    )
}

/// Ten keys with a hundred events; `order` is the order of offsets in which they are handed over.
fn deliver(order: impl IntoIterator<Item = i64>) -> Findings {
    let mut log = Log::new(10, 100);
    for offset in order {
        log.hand((offset % 10) as u32, (offset / 10) as u64, offset);
    }
    log.finish()
}

#[test]
fn a_clean_stream_passes() {
    let findings = deliver(0..1_000);
    let clean = Findings {
        sent: 1_000,
        acked: 1_000,
        delivered: 1_000,
        keys: 10,
        ..Findings::default()
    };
    assert_eq!(findings, clean);
    assert!(problems(&findings).is_empty());
}

#[test]
fn one_dropped_is_lost_and_a_gap() {
    let findings = deliver((0..1_000).filter(|offset| *offset != 503));
    assert_eq!(
        (findings.lost, findings.gaps, findings.delivered),
        (1, 1, 999)
    );
    assert_eq!(findings.order_violations, 0);
    let first = &findings.first[0];
    assert_eq!(
        (first.what, first.key.as_deref(), first.sequence),
        ("lost", Some("user-3"), Some(50))
    );
    assert_eq!(first.outcome, Some("acked"));
}

#[test]
fn the_last_of_a_key_is_lost_without_a_gap() {
    let findings = deliver(0..999);
    assert_eq!((findings.lost, findings.gaps), (1, 0));
}

#[test]
fn two_of_a_key_swapped_break_its_order_once() {
    let findings = deliver((0..1_000).map(|offset| match offset {
        503 => 513,
        513 => 503,
        other => other,
    }));
    assert_eq!(
        (findings.order_violations, findings.lost, findings.gaps),
        (1, 0, 0)
    );
    assert_eq!(
        (findings.first[0].what, findings.first[0].sequence),
        ("order", Some(50))
    );
    assert_eq!(problems(&findings).len(), 1);
}

#[test]
fn two_of_different_keys_swapped_break_nothing() {
    let findings = deliver((0..1_000).map(|offset| match offset {
        503 => 504,
        504 => 503,
        other => other,
    }));
    assert!(problems(&findings).is_empty(), "{findings:?}");
}

#[test]
fn a_second_copy_in_the_log_is_a_duplicate() {
    let mut log = Log::new(1, 10);
    for sequence in 0..10 {
        log.hand(0, sequence, sequence as i64);
    }
    assert_eq!(log.hand(0, 4, 10), Seen::Duplicate);
    assert_eq!(log.hand(0, 4, 11), Seen::Duplicate);
    let findings = log.finish();
    assert_eq!(
        (
            findings.duplicates_in_log,
            findings.duplicates_of_acked,
            findings.redelivered
        ),
        (1, 1, 0)
    );
    assert_eq!(findings.delivered, 10);
    assert_eq!(findings.first[0].at.as_deref(), Some("0/10"));
}

#[test]
fn the_same_position_again_is_a_redelivery() {
    let rewind = (0..500).chain(300..1_000);
    let findings = deliver(rewind);
    assert_eq!(
        (
            findings.redelivered,
            findings.duplicates_in_log,
            findings.replay_violations
        ),
        (200, 0, 0)
    );
    assert_eq!((findings.delivered, findings.order_violations), (1_000, 0));
    let promise = Promise {
        guarantee: Guarantee::AtLeastOnce,
        idempotent: true,
    };
    assert!(verdict(&findings, 0, promise).is_empty());
    assert_eq!(problems(&findings).len(), 1);
}

#[test]
fn a_replay_that_leaves_one_out_is_a_violation() {
    // Back to 300, but 353 does not come again.
    let findings = deliver((0..500).chain((300..1_000).filter(|offset| *offset != 353)));
    assert_eq!(findings.replay_violations, 1, "{findings:?}");
    assert_eq!(findings.first[0].what, "replay");
    // Back to 300, and from there straight to what is new.
    let findings = deliver((0..500).chain(300..310).chain(500..1_000));
    assert_eq!(findings.replay_violations, 10, "once for each key");
}

#[test]
fn a_rewind_within_a_replay_is_legal() {
    let findings = deliver((0..500).chain(300..400).chain(300..450).chain(440..1_000));
    assert_eq!(findings.replay_violations, 0, "{findings:?}");
}

#[test]
fn a_damaged_event_is_corrupt_and_not_lost() {
    let mut log = Log::new(1, 3);
    log.hand(0, 0, 0);
    let (partition, position) = at(1);
    log.ledger
        .damaged(Damage::Checksum, Some(&header(0, 1)), &partition, &position);
    log.hand(0, 2, 2);
    let findings = log.finish();
    assert_eq!(
        (
            findings.corrupt,
            findings.lost,
            findings.gaps,
            findings.delivered
        ),
        (1, 0, 0, 2)
    );
    assert_eq!(findings.first[0].what, "corrupt");
}

#[test]
fn bytes_that_name_no_event_are_corrupt_and_the_event_lost() {
    let mut log = Log::new(1, 2);
    log.hand(0, 0, 0);
    let (partition, position) = at(1);
    log.ledger
        .damaged(Damage::Foreign, None, &partition, &position);
    let findings = log.finish();
    assert_eq!((findings.corrupt, findings.lost), (1, 1));
}

#[test]
fn what_nobody_sent_is_a_phantom() {
    let mut log = Log::new(2, 10);
    let (partition, position) = at(77);
    let foreign = Header {
        run: 7,
        ..header(0, 0)
    };
    assert_eq!(
        log.ledger.delivered(&foreign, &partition, &position),
        Seen::Phantom
    );
    assert_eq!(log.hand(0, 10, 78), Seen::Phantom, "beyond the plan");
    assert_eq!(log.hand(9, 0, 79), Seen::Phantom, "no such key");
    assert_eq!(log.finish().phantom, 3);

    let ledger = Ledger::new(RUN, &[1, 1]);
    ledger.sent(0, 0);
    ledger.resolved(0, 0, Outcome::Failed);
    for key in 0..2 {
        ledger.delivered(&header(key, 0), &partition, &position);
    }
    let findings = ledger.finish(|key| key.to_string());
    assert_eq!(
        findings.phantom, 2,
        "one whose send had failed, one planned but not sent"
    );
}

#[test]
fn a_batch_that_was_not_taken_was_not_sent() {
    let ledger = Ledger::new(RUN, &[2]);
    ledger.sent(0, 0);
    ledger.withdrawn(0, 0);
    assert_eq!(ledger.finish(|key| key.to_string()).sent, 0);
}

#[test]
fn outstanding_counts_what_is_acknowledged_and_not_here_yet() {
    let mut log = Log::new(1, 5);
    assert_eq!(log.ledger.outstanding(), 5);
    log.hand(0, 0, 0);
    log.ledger.resolved(0, 1, Outcome::Indeterminate);
    assert_eq!(log.ledger.outstanding(), 3);
}

#[test]
fn memory_is_what_is_stated() {
    assert_eq!(BYTES_PER_EVENT, 8);
    assert_eq!(BYTES_PER_KEY, 24);
    let ledger = Ledger::new(RUN, &vec![100; 1_000]);
    assert_eq!(ledger.len(), 100_000);
    assert_eq!(
        ledger.memory_bytes(),
        100_000 * BYTES_PER_EVENT + 1_000 * BYTES_PER_KEY
    );
}

#[test]
fn findings_are_bounded() {
    let findings = Log::new(10, 1_000).finish();
    assert_eq!(findings.lost, 10_000);
    assert_eq!(findings.first.len(), 1_000);
    let mut all = findings.clone();
    all.add(findings);
    assert_eq!((all.lost, all.first.len()), (20_000, 1_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any legal history passes: keys interleaved at will, some sends failed (never seen) or
    /// indeterminate (seen or not), rewinds that replay everything.
    #[test]
    fn legal_histories_pass(
        outcomes in prop::collection::vec((0u32..4, 0u8..10), 1..200),
        rewinds in prop::collection::vec((0usize..200, 0usize..200), 0..4),
    ) {
        let mut counts = [0u32; 4];
        let mut events = Vec::new();
        for (key, fate) in outcomes {
            events.push((key, u64::from(counts[key as usize]), fate));
            counts[key as usize] += 1;
        }
        // One is sure to be acknowledged: nothing acknowledged is no pass.
        events.push((0, u64::from(counts[0]), 9));
        counts[0] += 1;
        let ledger = Ledger::new(RUN, &counts);
        let mut log = Vec::new();
        for (key, sequence, fate) in events {
            ledger.sent(key, sequence);
            let (partition, position) = at(log.len() as i64);
            let (outcome, written) = match fate {
                0 => (Outcome::Failed, false),
                1 => (Outcome::Indeterminate, true),
                2 => (Outcome::Indeterminate, false),
                _ => (Outcome::Acked(Some(Place::of(&partition, &position))), true),
            };
            ledger.resolved(key, sequence, outcome);
            if written {
                log.push((key, sequence));
            }
        }
        let mut positions = Positions::new();
        let mut read = |range: std::ops::Range<usize>| {
            for offset in range {
                let (key, sequence) = log[offset];
                let (partition, position) = at(offset as i64);
                if ledger.delivered(&header(key, sequence), &partition, &position) == Seen::First {
                    positions.first(&partition, &position);
                }
            }
        };
        let mut reached = 0;
        for (back, forth) in rewinds {
            let from = back.min(reached);
            let to = forth.clamp(from, log.len());
            read(from..to);
            reached = to;
        }
        read(reached..log.len());
        // A rewind may leave the last part unread again; read on from the furthest point.
        let mut findings = ledger.finish(|key| key.to_string());
        findings.position_violations += Positions::shared(&mut [positions]);
        let promise = Promise { guarantee: Guarantee::AtLeastOnce, idempotent: true };
        prop_assert!(verdict(&findings, 0, promise).is_empty(), "{:?}", findings);
    }

    /// Whichever acknowledged event is left out, exactly one is lost.
    #[test]
    fn any_drop_is_found(dropped in 0i64..1_000) {
        let findings = deliver((0..1_000).filter(|offset| *offset != dropped));
        prop_assert_eq!(findings.lost, 1);
        prop_assert_eq!(findings.order_violations + findings.phantom + findings.corrupt, 0);
    }

    /// Whichever two neighbours of a key change places, one comes late.
    #[test]
    fn any_swap_within_a_key_is_found(first in 0i64..990) {
        let findings = deliver((0..1_000).map(|offset| {
            if offset == first { first + 10 } else if offset == first + 10 { first } else { offset }
        }));
        prop_assert_eq!((findings.order_violations, findings.lost), (1, 0));
    }
}
