//! How much a peer may begin and not end: sessions, links, connections, deliveries, requests.

use std::io::Write;
use std::time::Duration;

use anyhub_local::EventHubs;

use super::raw::{
    self, ALL, ATTACH, CLOSE, DETACH, DISPOSITION, END, FLOW, READ, Raw, TRANSFER, event, transfer,
};

fn hub() -> EventHubs {
    EventHubs::builder().hub("h", 1).start().unwrap()
}

const PART: (bool, bool) = (true, false);
const WHOLE: (bool, bool) = (false, false);
const ABORTED: (bool, bool) = (false, true);

/// The first frame of this kind.
fn told(raw: &mut Raw, code: u8) -> raw::Frame {
    let mut frames = std::iter::from_fn(|| raw.read().ok());
    frames.find(|frame| frame.code == code).unwrap()
}

#[test]
fn deliveries_that_are_begun_and_not_ended_do_not_pile_up() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    // 20 links, each with nearly a message: more than a connection may hold. It may end before all is said.
    let mut frames = (0..20).flat_map(|handle| {
        let parts = (0..17).map(move |_| transfer(handle, handle, 0, PART, &vec![0; 60_000]));
        [raw::attach(handle, false, "h", None, 0)]
            .into_iter()
            .chain(parts)
    });
    while let Some(frame) = frames.next()
        && raw.stream.write_all(&raw::frame(0, 0, &frame)).is_ok()
    {}
    assert!(told(&mut raw, CLOSE).says("amqp:resource-limit-exceeded"));
}

#[test]
fn nor_do_they_on_many_connections() {
    let hubs = hub();
    // Each holds less than it may, and together they hold more than they may.
    let begun = || {
        let mut raw = Raw::open(&hubs);
        for handle in 0..15 {
            raw.send(0, &raw::attach(handle, false, "h", None, 0));
            for _ in 0..17 {
                raw.send(0, &transfer(handle, handle, 0, PART, &vec![0; 60_000]));
            }
        }
        // What comes after it has been taken in.
        raw.send(0, &raw::list(0x16, &[raw::uint(99)]));
        raw.send(0, &raw::attach(99, false, "h", None, 0));
        loop {
            match raw.read() {
                Ok(frame) if frame.code == CLOSE => {
                    return Err(frame);
                }
                Ok(frame) if frame.code == ATTACH && frame.says("link-99") => return Ok(raw),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 20, "nobody is refused");
        match begun() {
            Ok(raw) => open.push(raw),
            Err(frame) => break frame,
        }
    };
    assert!(refused.says("amqp:resource-limit-exceeded"), "{refused:?}");
    assert!(open.len() >= 7, "{}", open.len());
    // What is held goes with its connection.
    open.clear();
    while hubs.counts().open_connections > 0 {
        std::thread::yield_now();
    }
    assert!(begun().is_ok());
}

#[test]
fn a_delivery_that_is_given_up_costs_no_credit() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    // More than there is credit for at a time; when half of it is used up, there is more.
    for id in 0..1_050 {
        raw.send(0, &transfer(0, id, 0, PART, b"never mind"));
        raw.send(0, &transfer(0, id, 0, ABORTED, b""));
        if id % 150 == 149 {
            raw.expect(FLOW);
        }
    }
    raw.send(0, &transfer(0, 1_050, 0, WHOLE, &event(b"x")));
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    assert_eq!(hubs.counts().events_in, 1);
}

#[test]
fn a_connection_has_so_many_links_and_no_more() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    let mut links = 0;
    // 250 of 256 handles on each of 20 sessions.
    let refused = 'all: loop {
        let channel = links / 250 + 1;
        assert!(channel < 50, "no link is refused");
        raw.send(channel, &raw::begin());
        raw.expect(0x11);
        for handle in 0..250 {
            raw.send(channel, &raw::attach(handle, true, "$cbs", None, 0));
        }
        for _ in 0..250 {
            let frame = raw.read().unwrap();
            if frame.code == END {
                break 'all frame;
            }
            assert_eq!(frame.code, ATTACH, "{frame:?}");
            links += 1;
        }
    };
    assert!(refused.says("amqp:resource-limit-exceeded"), "{refused:?}");
    assert_eq!(links, 5_000);
    // Session 0 is as it was, and when links go others may come.
    raw.send(1, &raw::list(0x17, &[]));
    raw.expect(END);
    raw.publish_to(0, "h");
}

#[test]
fn what_was_under_way_on_a_session_that_is_over_comes_to_nothing() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    raw.send(0, &transfer(7, 0, 0, WHOLE, &event(b"nowhere")));
    raw.send(0, &transfer(0, 1, 0, WHOLE, &event(b"late")));
    raw.send(0, &raw::list(0x16, &[raw::uint(0), vec![0x41]]));
    assert!(raw.expect(END).says("amqp:session:unattached-handle"));
    raw.send(0, &raw::list(0x17, &[]));
    raw.send(0, &raw::begin());
    raw.expect(0x11);
    raw.publish_to(0, "h");
    assert_eq!(hubs.counts().events_in, 0);
}

#[test]
fn a_namespace_has_so_many_connections_and_no_more() {
    let builder = EventHubs::builder().hub("h", 1).connections(3);
    let hubs = builder.start().unwrap();
    let mut three: Vec<_> = (0..3).map(|_| Raw::open(&hubs)).collect();
    let mut fourth = Raw::connect(&hubs);
    fourth.login("PLAIN", raw::KEY).unwrap();
    fourth.send(0, &raw::open());
    fourth.expect(0x10);
    assert!(fourth.expect(CLOSE).says("amqp:resource-limit-exceeded"));
    drop((three.pop(), fourth));
    while hubs.counts().open_connections > 2 {
        std::thread::yield_now();
    }
    Raw::open(&hubs).publish_to(0, "h");
    three[0].publish_to(0, "h");
    assert_eq!(hubs.counts().broken_connections, 0);
}

#[test]
fn answers_that_nobody_takes_do_not_pile_up() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "$management");
    raw.send(0, &raw::attach(1, true, "$management", None, 1));
    raw.expect(ATTACH);
    // Each comes back in its answer: 30 MiB, and there is no credit for any.
    let ask = [
        raw::list(0x73, &[raw::string(&"i".repeat(30_000))]),
        vec![0x00, 0x53, 0x77, 0x40],
    ];
    for id in 0..1_000 {
        raw.send(0, &transfer(0, id, 0, WHOLE, &ask.concat()));
        while raw.read().unwrap().code != DISPOSITION {}
    }
    raw.credit(1, 1_000, false);
    raw.expect(TRANSFER);
    // They all go at once: before anything that is asked now.
    raw.send(0, &raw::attach(2, false, "h", None, 0));
    let rest = std::iter::from_fn(|| raw.read().ok());
    let answers = rest.take_while(|frame| frame.code == TRANSFER).count();
    assert!((10..=35).contains(&answers), "{answers}");
}

#[test]
fn names_and_answers_fit_into_what_the_peer_takes() {
    let hubs = hub();
    let mut raw = Raw::open(&hubs);
    let long = "n".repeat(2_000);
    let properties = |name: &str| {
        let pair = [
            raw::symbol("com.microsoft:receiver-name"),
            raw::string(name),
        ];
        raw::compound(0xd1, &pair)
    };
    let attach = |handle: u32, name: &str| {
        let fields = [
            raw::string("l"),
            raw::uint(handle),
            vec![0x41],
            vec![0x50, 1],
            vec![0x50, 0],
            raw::list(0x28, &[raw::string(READ)]),
            raw::list(0x29, &[raw::string("here")]),
            raw::null(),
            raw::null(),
            raw::uint(0),
            raw::null(),
            raw::null(),
            raw::null(),
            properties(name),
        ];
        raw::list(0x12, &fields)
    };
    raw.send(0, &attach(0, &long));
    raw.expect(ATTACH);
    assert!(raw.expect(DETACH).says("amqp:invalid-field"));
    raw.send(0, &attach(1, "short"));
    raw.expect(ATTACH);
    // An address that is told back is told in part.
    raw.send(0, &raw::attach(2, false, &"a".repeat(1_000), None, 0));
    raw.expect(ATTACH);
    assert!(raw.expect(DETACH).body.len() < 1_200);
    // What would have to come back does not fit into a frame.
    raw.send(0, &raw::attach(3, false, &"a".repeat(65_350), None, 0));
    assert!(raw.expect(END).says("amqp:frame-size-too-small"));
}

#[test]
fn a_peer_that_does_not_read_costs_no_time() {
    let hubs = hub();
    let mut raw = Raw::connect(&hubs);
    raw.login("PLAIN", raw::KEY).unwrap();
    // It wants to hear something every 2 ms.
    let fields = [
        raw::string("raw"),
        raw::null(),
        raw::uint(65_536),
        raw::null(),
        raw::uint(2),
    ];
    raw.send(0, &raw::list(0x10, &fields));
    raw.expect(0x10);
    let mut other = Raw::open(&hubs);
    other.publish_to(0, "h");
    for _ in 0..40 {
        other.transfer(0, 0, &event(&vec![b'x'; 500_000]));
        assert!(told(&mut other, DISPOSITION).outcome(0x24));
    }
    raw.send(0, &raw::begin());
    raw.send(0, &raw::attach(0, true, READ, Some(ALL), 1));
    raw.credit(0, 1_000, false);
    let Some(mut spent) = hubs.cpu() else {
        println!("processor time is not looked at: only Linux tells");
        return;
    };
    // Once all that fits is under way, nothing is left to be done: a spinning thread would take all of the time.
    let rests = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let now = hubs.cpu().unwrap();
        let taken = now.saturating_sub(spent);
        spent = now;
        taken < Duration::from_millis(20)
    });
    assert!(rests);
}
