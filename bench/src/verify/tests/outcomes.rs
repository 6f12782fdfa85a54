//! What the end of a send allows and forbids: failed, indeterminate, acknowledged elsewhere.

use super::*;

#[test]
fn failed_sends_leave_legal_gaps() {
    let mut log = Log::new(1, 10);
    for sequence in [3, 9] {
        log.ledger.resolved(0, sequence, Outcome::Failed);
    }
    for sequence in [0, 1, 2, 4, 5, 6, 7, 8] {
        log.hand(0, sequence, sequence as i64);
    }
    let findings = log.finish();
    assert_eq!(
        (
            findings.failed,
            findings.lost,
            findings.gaps,
            findings.delivered
        ),
        (2, 0, 0, 8)
    );
    assert!(problems(&findings).is_empty());
}

#[test]
fn indeterminate_sends_may_be_seen_or_not_late_or_twice() {
    let mut log = Log::new(1, 10);
    for sequence in [2, 5, 8] {
        log.ledger.resolved(0, sequence, Outcome::Indeterminate);
    }
    // 2 never comes, 5 comes late and twice, 8 in its place.
    for (sequence, offset) in [
        (0, 0),
        (1, 1),
        (3, 3),
        (4, 4),
        (6, 6),
        (7, 7),
        (5, 8),
        (8, 10),
        (5, 11),
        (9, 9),
    ] {
        log.hand(0, sequence, offset);
    }
    let findings = log.finish();
    assert_eq!(
        (
            findings.indeterminate,
            findings.indeterminate_seen,
            findings.unresolved
        ),
        (3, 2, 0)
    );
    assert_eq!(
        (findings.order_violations, findings.lost, findings.gaps),
        (0, 0, 0)
    );
    assert_eq!(
        (findings.duplicates_in_log, findings.duplicates_of_acked),
        (1, 0)
    );
    let promise = Promise {
        guarantee: Guarantee::AtLeastOnce,
        idempotent: true,
    };
    // 8 stands at 10 and 9 at 9, as their receipts would have it only for 9.
    assert!(
        verdict(&findings, 0, promise).is_empty(),
        "{:?}",
        findings.first
    );
}

#[test]
fn a_send_that_never_resolves_is_found() {
    let ledger = Ledger::new(RUN, &[2]);
    ledger.sent(0, 0);
    ledger.resolved(0, 0, Outcome::Acked(None));
    ledger.sent(0, 1);
    let (partition, position) = at(0);
    ledger.delivered(&header(0, 0), &partition, &position);
    let findings = ledger.finish(|key| key.to_string());
    assert_eq!((findings.indeterminate, findings.unresolved), (1, 1));
    assert_eq!(problems(&findings), ["1 sends that never resolved"]);
}

#[test]
fn a_receipt_that_names_another_position_is_found() {
    let mut log = Log::new(1, 3);
    log.hand(0, 0, 0);
    log.hand(0, 1, 7);
    log.hand(0, 2, 2);
    let findings = log.finish();
    assert_eq!((findings.position_violations, findings.lost), (1, 0));
    assert_eq!(
        (findings.first[0].what, findings.first[0].sequence),
        ("position", Some(1))
    );
}

#[test]
fn two_events_at_one_position_are_found() {
    let ledger = Ledger::new(RUN, &[2]);
    let mut log = Log {
        ledger,
        positions: Positions::new(),
    };
    for sequence in 0..2 {
        log.ledger.sent(0, sequence);
        log.ledger.resolved(0, sequence, Outcome::Acked(None));
        log.hand(0, sequence, 5);
    }
    assert_eq!(log.finish().position_violations, 1);
}

#[test]
fn a_delivery_may_come_before_its_acknowledgement() {
    let ledger = Ledger::new(RUN, &[1]);
    ledger.sent(0, 0);
    let (partition, position) = at(0);
    assert_eq!(
        ledger.delivered(&header(0, 0), &partition, &position),
        Seen::First
    );
    assert_eq!(ledger.outstanding(), 0);
    ledger.resolved(0, 0, Outcome::Acked(Some(Place::of(&partition, &position))));
    assert!(problems(&ledger.finish(|key| key.to_string())).is_empty());
}
