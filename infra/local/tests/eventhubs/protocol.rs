//! AMQP itself: credit, refusals, and what no client sends.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use anyhub_local::EventHubs;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::raw::{
    self, AMQP, ATTACH, BATCH, CLOSE, DETACH, DISPOSITION, FLOW, KEY, Raw, SASL, TRANSFER, batch,
    event,
};

const READ: &str = "h/ConsumerGroups/$Default/Partitions/0";
const ALL: &str = "amqp.annotation.x-opt-offset > '-1'";

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

#[test]
fn deliveries_that_are_begun_and_not_ended_do_not_pile_up() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    let part = vec![0; 60_000];
    // 20 links, each with nearly a message: more than a connection may hold. It may end before all is said.
    'all: for handle in 0..20 {
        let mut bodies = vec![raw::attach(handle, false, "h", None, 0)];
        for _ in 0..17 {
            let fields = [
                raw::uint(handle),
                raw::uint(handle),
                raw::binary(b"t"),
                raw::uint(0),
                vec![0x42],
                vec![0x41],
            ];
            bodies.push([raw::list(0x14, &fields), part.clone()].concat());
        }
        for body in bodies {
            if raw.stream.write_all(&raw::frame(0, 0, &body)).is_err() {
                break 'all;
            }
        }
    }
    let told = std::iter::from_fn(|| raw.read().ok()).find(|frame| frame.code == CLOSE);
    assert!(told.unwrap().says("amqp:resource-limit-exceeded"));
}

/// What a client says from the beginning to its first events, frame by frame.
fn conversation() -> Vec<Vec<u8>> {
    let init = raw::list(0x41, &[raw::symbol("PLAIN"), raw::binary(KEY)]);
    let transfer = |format: u32, message: Vec<u8>| {
        let fields = [
            raw::uint(0),
            raw::uint(0),
            raw::binary(b"t"),
            raw::uint(format),
            vec![0x42],
            vec![0x42],
        ];
        [raw::list(0x14, &fields), message].concat()
    };
    let flow = [
        raw::uint(0),
        raw::uint(5_000),
        raw::uint(0),
        raw::uint(5_000),
        raw::uint(1),
        raw::uint(0),
        raw::uint(10),
    ];
    let ask = [
        raw::list(
            0x73,
            &[
                raw::string("id"),
                raw::null(),
                raw::null(),
                raw::null(),
                raw::string("raw"),
            ],
        ),
        vec![0x00, 0x53, 0x77, 0x40],
    ];
    let bodies = [
        raw::open(),
        raw::begin(),
        raw::attach(0, false, "h", None, 0),
        raw::attach(1, true, READ, Some(ALL), 0),
        raw::attach(2, false, "$management", None, 0),
        raw::attach(3, true, "$management", None, 0),
        raw::list(0x13, &flow),
        transfer(BATCH, batch(&[event(b"one"), event(b"two")])),
        transfer(0, event(b"three")),
        transfer(0, ask.concat()),
        raw::list(0x15, &[vec![0x41], raw::uint(0), raw::uint(2), vec![0x41]]),
        raw::list(0x16, &[raw::uint(1), vec![0x41]]),
        raw::list(0x17, &[]),
        raw::list(0x18, &[]),
    ];
    let mut frames = vec![SASL.to_vec(), raw::frame(1, 0, &init), AMQP.to_vec()];
    frames.extend(bodies.iter().map(|body| raw::frame(0, 0, body)));
    frames
}

#[test]
fn whatever_comes_in_the_server_goes_on() {
    let (hubs, seed) = (hub(), 5);
    println!("seed {seed}");
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let good = conversation();
    let mut answered = 0;
    for round in 0..1_000 {
        let mut frames = good.clone();
        // The first one is as it should be, to see that this conversation gets somewhere.
        for _ in 0..rng.random_range(0..4).min(round) {
            let chosen = rng.random_range(0..frames.len());
            let frame = &mut frames[chosen];
            let at = rng.random_range(0..frame.len());
            match rng.random_range(0..6) {
                0 => frame[at] = rng.random_range(0..=255),
                1 => frame[at] ^= 1 << rng.random_range(0..8),
                2 => frame.truncate(at),
                3 => frame.insert(at, rng.random_range(0..=255)),
                // A length, most likely, that is far too large.
                4 => frame[at] = 0xff,
                _ => frames.swap(chosen, rng.random_range(0..good.len())),
            }
            frames.retain(|frame| !frame.is_empty());
        }
        let mut raw = Raw::connect(&hubs);
        // It may have been closed on us before the end.
        let _ = raw.stream.write_all(&frames.concat());
        let _ = raw.stream.shutdown(Shutdown::Write);
        let mut said = Vec::new();
        match raw.stream.read_to_end(&mut said) {
            Ok(_) => answered += usize::from(said.len() > 100),
            Err(e) => assert_eq!(
                e.kind(),
                ErrorKind::ConnectionReset,
                "round {round}: it hangs"
            ),
        }
    }
    assert!(answered > 300, "{answered}");
    let counts = hubs.counts();
    assert!(
        counts.broken_connections > 100 && counts.events_in > 300,
        "{counts:?}"
    );
    while hubs.counts().open_connections > 0 {
        std::thread::yield_now();
    }
    assert_eq!(hubs.counts().open_readers, 0);
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    raw.transfer(0, 0, &event(b"still here"));
    assert!(raw.expect(DISPOSITION).outcome(0x24));
}
