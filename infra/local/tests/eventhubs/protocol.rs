//! AMQP itself: credit, refusals, and what no client sends.

use std::io::{Read, Write};

use anyhub_local::EventHubs;

use super::raw::{
    self, ALL, ATTACH, BATCH, DETACH, DISPOSITION, FLOW, KEY, READ, Raw, SASL, TRANSFER, batch,
    event,
};

fn hub() -> EventHubs {
    EventHubs::builder().hub("h", 1).start().unwrap()
}

#[test]
fn a_refused_link_has_no_ends_gets_no_credit_and_says_why() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    for (n, (receives, address, condition)) in [
        (false, "nowhere", "amqp:not-found"),
        (
            false,
            "h/Partitions/1",
            "com.microsoft:argument-out-of-range",
        ),
        (false, READ, "amqp:not-found"),
        (true, "h", "amqp:not-found"),
        (true, "h/ConsumerGroups/none/Partitions/0", "amqp:not-found"),
        (
            true,
            "h/ConsumerGroups/$Default/Partitions/x",
            "com.microsoft:argument-out-of-range",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let handle = u32::try_from(n).unwrap();
        raw.send(0, &raw::attach(handle, receives, address, Some(ALL), 1));
        let answer = raw.expect(ATTACH);
        assert!(!answer.says(address), "{address}");
        let end = raw.expect(DETACH);
        assert!(end.says(condition), "{address}: {end:?}");
    }
    raw.send(0, &raw::attach(100, true, READ, Some("nonsense"), 1));
    raw.expect(ATTACH);
    assert!(raw.expect(DETACH).says("com.microsoft:argument-error"));
    // The session goes on.
    raw.publish_to(200, "h");
}

#[test]
fn without_a_token_nothing_opens_and_with_a_wrong_key_nobody_gets_in() {
    let hubs = hub();
    let mut raw = Raw::connect(&hubs);
    raw.login("ANONYMOUS", b"").unwrap();
    raw.begin();
    raw.send(0, &raw::attach(0, false, "h", None, 0));
    raw.expect(ATTACH);
    assert!(raw.expect(DETACH).says("amqp:unauthorized-access"));

    let mut raw = Raw::connect(&hubs);
    raw.stream.write_all(&SASL).unwrap();
    raw.stream.read_exact(&mut [0; 8]).unwrap();
    raw.read().unwrap();
    let wrong = KEY.to_ascii_lowercase();
    let init = raw::list(0x41, &[raw::symbol("PLAIN"), raw::binary(&wrong)]);
    raw.stream.write_all(&raw::frame(1, 0, &init)).unwrap();
    let outcome = raw.expect(0x44);
    assert!(
        outcome.body.windows(2).any(|part| part == [0x50, 1]),
        "{outcome:?}"
    );
    assert!(raw.read().is_err(), "the connection ends");
    assert_eq!(hubs.counts().refused_tokens, 1);
}

#[test]
fn no_more_is_sent_than_there_is_credit_for() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    let events: Vec<_> = (0..10)
        .map(|n| event(format!("event {n}").as_bytes()))
        .collect();
    raw.transfer(0, BATCH, &batch(&events));
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    raw.subscribe_to(1, READ, ALL);
    raw.credit(1, 3, false);
    for n in 0..3 {
        assert!(raw.expect(TRANSFER).says(&format!("event {n}")));
    }
    // A flow is answered in turn: had there been more events, they would have come before.
    raw.transfer(0, 0, &event(b"late"));
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    // Credit counts from the link's beginning. What is drained is what is there, and the rest is given back.
    raw.credit(1, 20, true);
    for n in 3..10 {
        assert!(raw.expect(TRANSFER).says(&format!("event {n}")));
    }
    assert!(raw.expect(TRANSFER).says("late"));
    let flow = raw.expect(FLOW);
    // 20 delivered or given back, and no credit left.
    assert!(
        flow.body.windows(4).any(|part| part == [0x52, 20, 0x52, 0]),
        "{flow:?}"
    );
}

#[test]
fn one_bad_event_spoils_its_batch_and_nothing_else() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    for bad in [
        batch(&[event(b"good"), b"bad".to_vec()]),
        batch(&[event(b"good"), vec![]]),
        vec![],
        vec![0x00, 0x53, 0x77, 0x40],
    ] {
        raw.transfer(0, BATCH, &bad);
        let answer = raw.expect(DISPOSITION);
        assert!(
            answer.outcome(0x25) && answer.says("amqp:decode-error"),
            "{bad:?}"
        );
    }
    assert_eq!(hubs.counts().events_in, 0);
    raw.transfer(0, BATCH, &batch(&[event(b"a"), event(b"b")]));
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    assert_eq!(hubs.counts().events_in, 2);
}

#[test]
fn a_message_above_the_limit_is_refused_before_it_ends() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    raw.transfer(0, 0, &event(&vec![0; 1024 * 1024]));
    let answer = raw.expect(DISPOSITION);
    assert!(answer.outcome(0x25) && answer.says("amqp:link:message-size-exceeded"));
    assert!(raw.expect(DETACH).says("amqp:link:message-size-exceeded"));
    raw.publish_to(1, "h");
    raw.transfer(1, 0, &event(&vec![0; 1024 * 1024 - 8]));
    assert!(raw.expect(DISPOSITION).outcome(0x24));
}
