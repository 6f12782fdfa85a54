//! What goes wrong on request: what a peer sees of it, what was written, and what is counted.

use std::time::Duration;

use anyhub_local::eventhubs::{EventHubs, Fault, Faults, On, Rate};

use super::client::{From, producer, receive, send};
use super::raw::{
    ATTACH, BATCH, CLOSE, DETACH, DISPOSITION, FLOW, Raw, TRANSFER, attach, batch, event,
};

/// A server, and a connection with a link for events, 0.
fn begin() -> (EventHubs, Raw) {
    let hubs = EventHubs::builder().hub("h", 1).start().unwrap();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    (hubs, raw)
}

/// Sends three events at once.
fn three(raw: &mut Raw) {
    raw.transfer(0, BATCH, &batch(&[event(b"a"), event(b"b"), event(b"c")]));
}

/// How often a fault struck, with how many events in flight, and how many of them unanswered.
fn struck(hubs: &EventHubs, fault: Fault) -> (u64, u64, u64) {
    let strikes = hubs.counts().strikes(fault);
    assert_eq!(strikes.times, strikes.times_in_flight);
    (
        strikes.times,
        strikes.events_in_flight,
        strikes.events_unanswered,
    )
}

#[test]
fn outcomes_that_mean_that_nothing_was_written() {
    let (hubs, mut raw) = begin();
    let next = Rate::next(1);
    for (fault, faults, outcome, text) in [
        (
            Fault::ServerBusy,
            Faults::none().server_busy(next),
            0x25,
            "com.microsoft:server-busy",
        ),
        (
            Fault::Rejected,
            Faults::none().rejected(next),
            0x25,
            "amqp:internal-error",
        ),
        (Fault::Released, Faults::none().released(next), 0x26, ""),
        (Fault::Modified, Faults::none().modified(next), 0x27, ""),
    ] {
        hubs.set_faults(faults).unwrap();
        let before = hubs.counts().events_in;
        three(&mut raw);
        let answer = raw.expect(DISPOSITION);
        assert!(answer.outcome(outcome), "{fault:?}: {answer:?}");
        assert!(
            text.is_empty() || answer.says(text),
            "{fault:?}: {answer:?}"
        );
        assert_eq!(hubs.counts().events_in, before);
        assert_eq!(struck(&hubs, fault), (1, 3, 0));
        three(&mut raw);
        assert!(
            raw.expect(DISPOSITION).outcome(0x24),
            "{fault:?} strikes once"
        );
    }
    assert_eq!(hubs.counts().events_unanswered(), 0);
}

#[test]
fn a_slow_ack_is_overtaken_by_a_later_one() {
    let (hubs, mut raw) = begin();
    let late = Duration::from_millis(300);
    hubs.set_faults(Faults::none().slow_acks(Rate::next(1), late))
        .unwrap();
    three(&mut raw);
    raw.transfer(0, 0, &event(b"quick"));
    let id = |n: u8| [0x52, n, 0x52, n, 0x41];
    let first = raw.expect(DISPOSITION);
    assert!(first.body.windows(5).any(|part| part == id(1)), "{first:?}");
    assert_eq!(hubs.counts().events_in, 4, "written before it is answered");
    let second = raw.expect(DISPOSITION);
    assert!(second.body.windows(5).any(|part| part == id(0)) && second.outcome(0x24));
    assert_eq!(struck(&hubs, Fault::SlowAck), (1, 3, 0));
}

#[test]
fn a_lost_answer_is_written_and_the_connection_is_cut() {
    let (hubs, mut raw) = begin();
    three(&mut raw);
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    // What waits for a slow answer never gets it either.
    let faults = Faults::none().slow_acks(Rate::next(1), Duration::from_secs(60));
    hubs.set_faults(faults.lost_answers(Rate::next(1))).unwrap();
    three(&mut raw);
    raw.transfer(0, 0, &event(b"lost"));
    assert!(raw.read().is_err());
    assert_eq!(struck(&hubs, Fault::LostAnswer), (1, 4, 4));
    assert_eq!(
        (hubs.counts().events_in, hubs.counts().events_unanswered()),
        (7, 4)
    );
}

#[test]
fn links_and_connections_break_before_anything_is_written() {
    let (hubs, mut raw) = begin();
    let next = Rate::next(1);
    hubs.set_faults(Faults::none().detached(On::Send, next))
        .unwrap();
    three(&mut raw);
    assert!(raw.expect(DETACH).says("amqp:link:detach-forced"));
    assert_eq!(struck(&hubs, Fault::Detached), (1, 3, 0));
    // The connection goes on.
    raw.send(0, &attach(1, false, "h", None, 0));
    raw.expect(ATTACH);
    raw.expect(FLOW);

    let closed = Faults::none().closed(On::Send, next);
    hubs.set_faults(closed.clone()).unwrap();
    raw.transfer(1, 0, &event(b"x"));
    assert!(raw.expect(CLOSE).says("amqp:connection:forced"));
    assert!(raw.read().is_err());
    assert_eq!(struck(&hubs, Fault::Closed), (1, 1, 0));

    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    hubs.set_faults(Faults::none().cut(On::Send, next)).unwrap();
    three(&mut raw);
    assert!(raw.read().is_err());
    assert_eq!(struck(&hubs, Fault::Cut), (1, 3, 0));
    assert_eq!(hubs.counts().events_in, 0);
    assert_eq!(
        hubs.counts().broken_connections,
        0,
        "none was the peer's fault"
    );
}

#[test]
fn a_half_open_connection_says_nothing_until_it_ends() {
    let (hubs, mut raw) = begin();
    let time = Duration::from_secs(1);
    let faults = Faults::none().half_open(On::Send, Rate::next(1), time);
    hubs.set_faults(faults).unwrap();
    three(&mut raw);
    let short = Some(Duration::from_millis(200));
    raw.stream.set_read_timeout(short).unwrap();
    let error = raw.read().unwrap_err();
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::WouldBlock,
        "it is open, and silent"
    );
    assert_eq!(struck(&hubs, Fault::HalfOpen), (1, 3, 0));
    raw.stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    assert!(raw.read().is_err());
    assert_eq!(hubs.counts().events_in, 0);
}

#[test]
fn readers_are_struck_with_what_they_have_not_settled() {
    let hubs = EventHubs::builder().hub("h", 1).start().unwrap();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    three(&mut raw);
    raw.expect(DISPOSITION);
    let read = "h/ConsumerGroups/$Default/Partitions/0";
    raw.send(
        0,
        &attach(
            1,
            true,
            read,
            Some("amqp.annotation.x-opt-offset > '-1'"),
            0,
        ),
    );
    raw.expect(ATTACH);
    raw.credit(1, 2, false);
    raw.expect(TRANSFER);
    raw.expect(TRANSFER);
    hubs.set_faults(Faults::none().cut(On::Receive, Rate::next(1)))
        .unwrap();
    raw.credit(1, 10, false);
    assert!(raw.read().is_err());
    assert_eq!(struck(&hubs, Fault::Cut), (1, 3, 0));
    assert_eq!(hubs.counts().events_out, 2);
}

#[tokio::test]
async fn to_the_sdk_a_lost_answer_is_no_success_and_sent_again_it_is_there_twice() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let before = producer(&hubs, "tweets").await;
    send(&before, "0", "a").await.unwrap();
    hubs.set_faults(Faults::none().lost_answers(Rate::next(1)))
        .unwrap();
    // The SDK may never tell: it is dropped once the answer is lost.
    tokio::select! {
        sent = send(&before, "0", "b") => assert!(sent.is_err()),
        () = async {
            while hubs.counts().strikes(Fault::LostAnswer).times == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let after = producer(&hubs, "tweets").await;
    send(&after, "0", "b").await.unwrap();
    let open = From::partition("0").open(&hubs, "tweets").await;
    let events = receive(&open, 3).await.unwrap();
    assert_eq!(super::client::texts(&events), ["a", "b", "b"]);
    assert_eq!(hubs.counts().events_unanswered(), 1);
}
