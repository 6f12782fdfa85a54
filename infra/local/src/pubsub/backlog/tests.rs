//! The rules of delivery, one by one.
#![allow(clippy::unwrap_used)]

use std::time::UNIX_EPOCH;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;

use super::*;

mod bounds;
mod clients;
mod loose;
mod retries;

const TEN: Duration = Duration::from_secs(10);
const ALL: Room = Room {
    messages: usize::MAX,
    bytes: usize::MAX,
};

/// An ordered backlog, two readers, and the time.
struct Case {
    backlog: Backlog,
    now: Instant,
    next: u64,
}

fn settings() -> Settings {
    Settings {
        ordered: true,
        retain_acked: false,
        kept: Duration::from_secs(600),
        acked_bytes: usize::MAX,
        retry: None,
        max_attempts: None,
    }
}

fn case() -> Case {
    case_with(settings())
}

fn case_with(settings: Settings) -> Case {
    let mut case = Case {
        backlog: Backlog::new(settings, 1),
        now: Instant::now(),
        next: 1,
    };
    for reader in [1, 2] {
        case.attach(reader, None);
    }
    case
}

/// Published a second after the one before.
fn message(id: u64, key: &str) -> Arc<Message> {
    let message = PubsubMessage {
        data: "x".into(),
        ordering_key: key.into(),
        ..PubsubMessage::default()
    };
    Arc::new(Message::new(id, at(id), message))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

impl Case {
    fn attach(&mut self, reader: u64, messages: Option<usize>) {
        let flow = Flow {
            messages,
            bytes: None,
        };
        self.backlog.attach(reader, None, flow, Arc::default());
    }

    /// Publishes messages, numbered from 1 on, with these keys.
    fn push(&mut self, keys: &[&str]) {
        for key in keys {
            self.backlog.push(&message(self.next, key));
            self.next += 1;
        }
    }

    fn take(&mut self, reader: u64) -> Vec<Ticket> {
        let taken = self.backlog.take(reader, ALL, TEN, self.now);
        taken.into_iter().map(|delivery| delivery.ticket).collect()
    }

    /// The numbers of what a reader gets now.
    fn numbers(&mut self, reader: u64) -> Vec<u64> {
        self.take(reader).iter().map(|t| t.message).collect()
    }

    fn nack(&mut self, tickets: &[Ticket]) -> Vec<bool> {
        let (live, dead) = self.backlog.nack(tickets, &mut |_, _| false, self.now);
        assert!(dead.is_empty());
        live
    }

    fn wait(&mut self, time: Duration) -> usize {
        self.now += time;
        self.backlog.expire(&mut |_, _| false, self.now).0
    }
}

#[test]
fn many_of_a_key_go_to_one_reader_in_order() {
    let mut case = case();
    case.push(&["a", "a", "b", "a"]);
    let first = case.take(1);
    let numbers: Vec<_> = first.iter().map(|t| t.message).collect();
    assert_eq!(numbers, [1, 2, 4, 3]);
    // What comes later of the same keys is for the same reader.
    case.push(&["a", "c"]);
    assert_eq!(case.numbers(2), [6]);
    assert_eq!(case.numbers(1), [5]);
    // Until nothing of the key is outstanding.
    case.push(&["b"]);
    assert_eq!(case.numbers(2), [0; 0]);
    assert_eq!(case.backlog.ack(&first[3..]), [Settled::Done]);
    assert_eq!(case.numbers(2), [7]);
}

#[test]
fn an_ack_out_of_order_holds_only_with_what_is_before_it() {
    let mut case = case();
    case.push(&["a", "a", "a", "", ""]);
    let taken = case.take(1);
    let [a, b, c, d, e] = taken[..] else {
        panic!("{taken:?}");
    };
    // Those without a key come in any order.
    let (keyed, loose) = match a.message {
        1 => ([a, b, c], [d, e]),
        _ => ([c, d, e], [a, b]),
    };
    let [a, b, c] = keyed;
    assert_eq!(case.backlog.ack(&[loose[1]]), [Settled::Done]);
    assert_eq!(case.backlog.ack(&[b]), [Settled::Unordered]);
    assert_eq!(
        case.backlog.ack(&[c, a]),
        [Settled::Unordered, Settled::Done]
    );
    assert_eq!(case.backlog.ack(&[c, b, b]), [Settled::Done; 3]);
    assert_eq!(
        case.backlog.ack(&[a, loose[0]]),
        [Settled::Over, Settled::Done]
    );
    assert_eq!(
        (case.backlog.outstanding(), case.backlog.stored_bytes()),
        (0, 0)
    );
    assert!(
        case.backlog.keys.get_mut(0).is_none(),
        "the key is forgotten"
    );
}

#[test]
fn a_nack_brings_everything_of_its_key_again_from_there_on() {
    let mut case = case();
    case.push(&["a", "a", "a", "b"]);
    let taken = case.take(1);
    assert_eq!(case.backlog.ack(&taken[2..3]), [Settled::Unordered]);
    assert_eq!(case.nack(&taken[1..2]), [true]);
    // The first one is outstanding still, so they stay with the reader.
    assert_eq!(case.numbers(2), [0; 0]);
    let again = case.take(1);
    let numbers: Vec<_> = again.iter().map(|t| t.message).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(case.backlog.ack(&taken[1..3]), [Settled::Over; 2]);
    assert_eq!(case.backlog.ack(&taken[..1]), [Settled::Done]);
    assert_eq!(case.nack(&[again[0], again[1]]), [true, true]);
    // None of the key is outstanding: any reader may have it.
    case.push(&["a"]);
    assert_eq!(case.numbers(2), [2, 3, 5]);
    // The other key is where it was.
    assert_eq!(case.backlog.ack(&taken[3..]), [Settled::Done]);
}

#[test]
fn what_is_not_acknowledged_in_time_comes_again() {
    let mut case = case();
    case.push(&["a", "a", ""]);
    let taken = case.take(1);
    assert_eq!(case.wait(TEN - Duration::from_millis(1)), 0);
    // Longer for all, then shorter for one.
    assert_eq!(case.backlog.extend(&taken, 2 * TEN, case.now), [true; 3]);
    assert_eq!(case.wait(TEN), 0);
    let one = Duration::from_secs(1);
    let last = *taken.iter().find(|t| t.message == 2).unwrap();
    assert_eq!(case.backlog.extend(&[last], one, case.now), [true]);
    assert_eq!(case.wait(one), 1);
    assert_eq!(case.numbers(1), [2]);
    assert_eq!(case.wait(TEN), 3);
    assert_eq!(case.backlog.extend(&taken, one, case.now), [false; 3]);
    let mut numbers = case.numbers(2);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn a_reader_has_no_more_than_it_wants() {
    let mut case = case();
    case.attach(3, Some(2));
    case.push(&["a", "a", "a", "b"]);
    let taken = case.take(3);
    assert_eq!(taken.len(), 2);
    assert_eq!(case.numbers(3), [0; 0]);
    assert_eq!(case.numbers(1), [4]);
    assert_eq!(case.backlog.ack(&taken[..1]), [Settled::Done]);
    assert_eq!(case.numbers(3), [3]);
    // It stops once it has so many bytes or more.
    let flow = Flow {
        messages: None,
        bytes: Some(1),
    };
    case.backlog.attach(4, None, flow, Arc::default());
    case.push(&["", ""]);
    assert_eq!(case.numbers(4).len(), 1);
    assert_eq!(case.numbers(4), [0; 0]);
}

#[test]
fn a_reader_that_is_gone_keeps_its_keys_until_they_are_settled() {
    let mut case = case();
    case.push(&["a", "a", "b"]);
    let taken = case.take(1);
    case.backlog.detach(1);
    case.push(&["a", "b"]);
    assert_eq!(case.numbers(2), [0; 0]);
    // An ack comes on its own way.
    assert_eq!(case.backlog.ack(&taken[..2]), [Settled::Done; 2]);
    assert_eq!(case.numbers(2), [4]);
    assert_eq!(case.wait(TEN), 2);
    case.attach(5, None);
    assert_eq!(case.numbers(5), [4, 3, 5]);
}

#[test]
fn readers_are_woken_when_there_is_something_for_them() {
    let mut case = case();
    let wake = Arc::new(Notify::new());
    let woken = || {
        let waiting = wake.notified();
        futures_util::FutureExt::now_or_never(waiting).is_some()
    };
    case.backlog.detach(1);
    case.backlog.detach(2);
    let flow = Flow {
        messages: Some(1),
        bytes: None,
    };
    case.backlog.attach(9, None, flow, Arc::clone(&wake));
    assert_eq!(case.numbers(9), [0; 0]);
    assert!(!woken());
    case.push(&["a", "a"]);
    assert!(woken());
    let taken = case.take(9);
    assert_eq!(case.numbers(9), [0; 0]);
    assert!(!woken(), "it has no room");
    case.backlog.ack(&taken);
    assert!(woken());
    assert_eq!(case.numbers(9), [2]);
    assert_eq!(case.numbers(9), [0; 0]);
    case.wait(TEN);
    assert!(woken());
}

#[test]
fn what_fails_too_often_is_taken_out() {
    let mut case = case_with(Settings {
        max_attempts: Some(5),
        ..settings()
    });
    case.push(&["a", "a"]);
    for attempt in 1..=5 {
        let taken = case.backlog.take(1, ALL, TEN, case.now);
        assert_eq!((taken[0].attempt, taken[1].attempt), (attempt, 1));
        assert_eq!(taken[0].again, attempt > 1);
        let (_, dead) = case
            .backlog
            .nack(&[taken[0].ticket], &mut |_, _| true, case.now);
        assert_eq!(dead.len(), usize::from(attempt == 5));
    }
    assert_eq!(case.numbers(2), [2], "it was not at fault");
}

#[test]
fn what_is_not_taken_comes_again() {
    let mut case = case_with(Settings {
        max_attempts: Some(1),
        ..settings()
    });
    case.push(&["a", "b", "", ""]);
    let taken = case.take(1);
    let mut room = 2;
    let mut takes = |_: &Message, _| {
        let had = room > 0;
        room -= usize::from(had);
        had
    };
    let (_, dead) = case.backlog.nack(&taken, &mut takes, case.now);
    assert_eq!(dead.len(), 2);
    let taken = case.take(1);
    assert_eq!(taken.len(), 2);
    let mut over = Vec::new();
    let mut takes = |_: &Message, tries| {
        over.push(tries);
        true
    };
    let (_, dead) = case.backlog.nack(&taken, &mut takes, case.now);
    assert_eq!(over, [1, 1]);
    assert!(dead.iter().all(|dead| dead.attempts == 2));
    assert_eq!((dead.len(), case.backlog.stored_bytes()), (2, 0));
}

#[test]
fn a_seek_decides_what_is_acknowledged() {
    let mut case = case_with(Settings {
        retain_acked: true,
        ..settings()
    });
    case.push(&["a", "a", "b", "a"]);
    let taken = case.take(1);
    assert_eq!(case.backlog.ack(&taken), [Settled::Done; 4]);
    assert_eq!(case.backlog.unacked_bytes(), 0);
    case.backlog.seek(&Target::Time(at(2)), &[], at(5));
    let again = case.take(2);
    let numbers: Vec<_> = again.iter().map(|t| t.message).collect();
    assert_eq!(numbers, [2, 4, 3]);
    assert_eq!(case.backlog.ack(&taken), [Settled::Over; 4]);
    // What another one kept comes too, and once.
    let kept = [message(1, "a"), message(2, "a")];
    let target = Target::Snapshot {
        unacked: vec![1],
        from: 4,
    };
    case.backlog.seek(&target, &kept, at(5));
    assert_eq!(case.nack(&again), [false; 3]);
    assert_eq!(case.numbers(1), [1, 4]);
    // A time to come discards what is published until then.
    case.next = 5;
    case.backlog.seek(&Target::Time(at(7)), &[], at(4));
    case.push(&["a", "a", "a"]);
    assert_eq!(case.numbers(1), [7]);
}

#[test]
fn what_is_past_retention_goes_whatever_its_state() {
    let mut case = case_with(Settings {
        retain_acked: true,
        ..settings()
    });
    case.push(&["a", "a", "", "a"]);
    let taken = case.take(1);
    let first = taken.iter().find(|t| t.message == 1).unwrap();
    assert_eq!(case.backlog.ack(&[*first]), [Settled::Done]);
    case.push(&["b", ""]);
    assert_eq!(case.backlog.trim(None, at(601)), 0);
    assert_eq!(case.backlog.trim(None, at(603)), 2);
    assert_eq!(case.numbers(1).len(), 2);
    assert_eq!(case.wait(TEN), 3);
    assert_eq!(case.backlog.trim(None, at(700)), 3);
    assert_eq!(
        (case.backlog.outstanding(), case.backlog.stored_bytes()),
        (0, 0)
    );
    assert_eq!(case.numbers(1), [0; 0]);
}

#[test]
fn what_is_not_acknowledged_stays_for_the_topic_s_time_too() {
    let mut case = case_with(Settings {
        retain_acked: true,
        ..settings()
    });
    case.push(&["a", "a", "", "b"]);
    let mut taken = case.take(1);
    taken.retain(|t| t.message == 1 || t.message == 4);
    assert_eq!(case.backlog.ack(&taken), [Settled::Done; 2]);
    // The acknowledged ones go by the subscription's time, from between the others too.
    let longer = Some(Duration::from_secs(1_000));
    assert_eq!(case.backlog.trim(longer, at(605)), 0);
    let left: Vec<_> = case.backlog.entries.keys().copied().collect();
    assert_eq!((left, case.backlog.acked.len()), (vec![2, 3], 0));
    assert_eq!(case.backlog.trim(longer, at(1_002)), 1);
    // A shorter one changes nothing.
    case.push(&["a"]);
    let shorter = Some(Duration::from_secs(10));
    assert_eq!(case.backlog.trim(shorter, at(604)), 1);
    assert_eq!(case.backlog.trim(shorter, at(605)), 1);
    assert_eq!(case.backlog.stored_bytes(), 0);
}

#[test]
fn acknowledged_messages_are_kept_up_to_so_many_bytes() {
    let size = message(1, "a").memory();
    let mut case = case_with(Settings {
        retain_acked: true,
        acked_bytes: 2 * size,
        ..settings()
    });
    case.push(&["a", "a", "a"]);
    let taken = case.take(1);
    case.backlog.ack(&taken);
    assert_eq!(case.backlog.stored_bytes(), 2 * size);
    case.backlog.seek(&Target::Time(at(0)), &[], at(5));
    assert_eq!(case.numbers(1), [2, 3]);
}

#[test]
fn acknowledged_messages_go_when_they_are_not_to_stay_any_more() {
    let retain = |retain_acked| Settings {
        retain_acked,
        ..settings()
    };
    let mut case = case_with(retain(true));
    case.push(&["a", "", "a"]);
    let taken = case.take(1);
    let acked: Vec<_> = taken.into_iter().filter(|t| t.message < 3).collect();
    assert_eq!(case.backlog.ack(&acked), [Settled::Done; 2]);
    case.backlog.set(retain(true));
    assert_eq!(case.backlog.acked.len(), 2);
    case.backlog.set(retain(false));
    assert_eq!(case.backlog.stored_bytes(), case.backlog.unacked_bytes());
    case.backlog.set(retain(true));
    case.backlog.seek(&Target::Time(at(0)), &[], at(5));
    assert_eq!(case.numbers(1), [3]);
}

#[test]
fn a_repeat_is_a_rewind_without_a_failure() {
    let mut case = case();
    case.push(&["a", "a", "a"]);
    let taken = case.take(1);
    assert!(case.backlog.repeat(taken[1]));
    assert!(!case.backlog.repeat(taken[2]));
    let again = case.backlog.take(1, ALL, TEN, case.now);
    let numbers: Vec<_> = again
        .iter()
        .map(|d| (d.ticket.message, d.attempt))
        .collect();
    assert_eq!(numbers, [(2, 1), (3, 1)]);
}
