//! Malformed, truncated and lying AMQP: whatever comes in, nothing panics, nothing waits for ever, memory stays bounded, and
//! the server goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use anyhub_local::EventHubs;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::raw::{
    self, ALL, AMQP, BATCH, CLOSE, DISPOSITION, KEY, READ, Raw, SASL, TRANSFER, batch, event,
    transfer,
};

/// The names of threads that have panicked.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The bytes that the process may gain while a server is under attack. What the attacks here claim is far more.
const GAIN: u64 = 256 << 20;

/// A server that is under attack.
struct Victim {
    hubs: EventHubs,
    memory: u64,
}

impl Victim {
    fn new() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let name = thread::current().name().unwrap_or_default().to_owned();
                PANICS
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(name);
                before(info);
            }));
        });
        Victim {
            hubs: EventHubs::builder().hub("h", 1).start().unwrap(),
            memory: memory(),
        }
    }

    /// Says all of this on a connection of its own, and nothing more. Returns what is answered until the server has closed it
    /// too; it has to, whatever was said.
    fn say(&self, said: &[u8], what: &str) -> Vec<u8> {
        let mut raw = Raw::connect(&self.hubs);
        // It may have been closed on us before the end.
        let _ = raw.stream.write_all(said);
        let _ = raw.stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        if let Err(error) = raw.stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}: it hangs");
        }
        answer
    }

    /// It still serves others as if nothing had been.
    fn check(&self) {
        let mut raw = Raw::open(&self.hubs);
        raw.publish_to(0, "h");
        raw.transfer(0, 0, &event(b"still here"));
        assert!(raw.expect(DISPOSITION).outcome(0x24));
        raw.subscribe_to(1, READ, ALL);
        raw.credit(1, 1, false);
        raw.expect(TRANSFER);
        drop(raw);
        while self.hubs.counts().open_connections > 0 {
            thread::yield_now();
        }
        assert_eq!(self.hubs.counts().open_readers, 0);
        let port = self.hubs.endpoint();
        let name = format!("eventhubs-{}", port.rsplit(':').next().unwrap());
        let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!panics.contains(&name), "{name} has panicked");
        let gain = memory().saturating_sub(self.memory);
        assert!(gain <= GAIN, "{} MiB", gain >> 20);
    }
}

/// What the process has in memory, in bytes.
fn memory() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        println!("memory is not looked at: only Linux tells");
        return 0;
    };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap() * 1024
}

/// What a client says from the beginning to its first events, frame by frame.
fn conversation() -> Vec<Vec<u8>> {
    let init = raw::list(0x41, &[raw::symbol("PLAIN"), raw::binary(KEY)]);
    let flow = [0, 5_000, 0, 5_000, 1, 0, 10].map(raw::uint);
    let properties = [
        raw::string("id"),
        raw::null(),
        raw::null(),
        raw::null(),
        raw::string("raw"),
    ];
    let ask = [raw::list(0x73, &properties), vec![0x00, 0x53, 0x77, 0x40]].concat();
    let two = batch(&[event(b"one"), event(b"two")]);
    let whole = (false, false);
    let bodies = [
        raw::open(),
        raw::begin(),
        raw::attach(0, false, "h", None, 0),
        raw::attach(1, true, READ, Some(ALL), 0),
        raw::attach(2, false, "$management", None, 0),
        raw::attach(3, true, "$management", None, 0),
        raw::list(0x13, &flow),
        transfer(0, 0, BATCH, whole, &two),
        transfer(0, 1, 0, whole, &event(b"three")),
        transfer(2, 2, 0, whole, &ask),
        raw::list(0x15, &[vec![0x41], raw::uint(0), raw::uint(2), vec![0x41]]),
        raw::list(0x16, &[raw::uint(1), vec![0x41]]),
        raw::list(0x17, &[]),
        raw::list(0x18, &[]),
    ];
    let mut frames = vec![SASL.to_vec(), raw::frame(1, 0, &init), AMQP.to_vec()];
    frames.extend(bodies.iter().map(|body| raw::frame(0, 0, body)));
    frames
}

/// What comes before links are attached.
fn opened() -> Vec<u8> {
    conversation()[..5].concat()
}

/// True if the server has said why it closes the connection.
fn is_told(answer: &[u8]) -> bool {
    let close = answer
        .windows(3)
        .rposition(|part| part == [0x00, 0x53, CLOSE]);
    let text = b"amqp:connection:framing-error";
    close.is_some_and(|at| answer[at..].windows(text.len()).any(|part| part == text))
}

#[test]
fn frames_that_are_none_are_told() {
    let victim = Victim::new();
    let sized = |size: u32, rest: &[u8]| [&size.to_be_bytes()[..], rest].concat();
    let body = |body: &[u8]| raw::frame(0, 0, body);
    for (what, bytes) in [
        ("a size of nothing", sized(0, &[2, 0, 0, 0])),
        ("less than its header", sized(7, &[2, 0, 0, 0])),
        ("larger than agreed upon", sized(65_537, &[2, 0, 0, 0])),
        ("4 GiB", sized(u32::MAX, &[2, 0, 0, 0])),
        ("a data offset of nothing", sized(8, &[0, 0, 0, 0])),
        ("a data offset within the header", sized(8, &[1, 0, 0, 0])),
        (
            "a data offset behind the end",
            sized(12, &[4, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("a type that there is not", sized(8, &[2, 7, 0, 0])),
        (
            "SASL when that is over",
            raw::frame(1, 0, &raw::list(0x41, &[])),
        ),
        ("no performative", body(&[0x40])),
        (
            "a performative by its name",
            body(&[&[0x00], &raw::symbol("amqp:open:list")[..], &[0x45]].concat()),
        ),
        (
            "a performative of no list",
            body(&[0x00, 0x53, 0x13, 0x40, 0x40]),
        ),
        (
            "a session that never began",
            raw::frame(0, 9, &raw::list(0x13, &[])),
        ),
        (
            "a channel above those agreed upon",
            raw::frame(0, 5_000, &raw::begin()),
        ),
        ("a session that begins twice", body(&raw::begin())),
        ("no fields", body(&raw::list(0x14, &[]))),
        (
            "a handle above those agreed upon",
            body(&raw::attach(256, false, "h", None, 0)),
        ),
        (
            "nested a thousand deep",
            body(&[&[0; 1_000][..], &[0x40; 1_001]].concat()),
        ),
        ("nested without an end", body(&[0; 60_000])),
        (
            "4,294,967,295 items",
            body(&[0x00, 0x53, 0x13, 0xd0, 0, 0, 0, 4, 255, 255, 255, 255]),
        ),
        (
            "a list of 4 GiB",
            body(&[0x00, 0x53, 0x13, 0xd0, 255, 255, 255, 255, 0, 0, 0, 0]),
        ),
    ] {
        let answer = victim.say(&[opened(), bytes].concat(), what);
        assert!(is_told(&answer), "{what}: {answer:?}");
    }
    victim.check();
}

/// Values that lie about their size, hold too much, are nested too deep, or are of another type than is due.
fn nasty() -> Vec<Vec<u8>> {
    let size = |code: u8, size: u32| [&[code][..], &size.to_be_bytes()].concat();
    let mut nasty: Vec<Vec<u8>> = [0xb0, 0xb1, 0xb3, 0xd0, 0xd1, 0xf0]
        .into_iter()
        .flat_map(|code| [size(code, u32::MAX), size(code, 60_000), size(code, 0)])
        .collect();
    nasty.extend([
        vec![0; 50_000],
        [&[0; 25_000][..], &[0x40; 25_001]].concat(),
        // A million items, and as many symbols of no bytes.
        [size(0xd0, 8), size(0, 0x0010_0000)].concat(),
        [
            &size(0xf0, 9)[..],
            &0x0010_0000_u32.to_be_bytes(),
            &[0xa3, 0, 0, 0, 0],
        ]
        .concat(),
        raw::compound(0xd0, &vec![raw::null(); 50_000]),
        raw::compound(0xd1, &vec![raw::null(); 50_001]),
        raw::compound(0xd1, &vec![raw::string("k"); 2]),
        raw::string(&"s".repeat(60_000)),
        raw::symbol(&"s".repeat(2_000)),
        vec![0xa1, 2, 0xff, 0xfe],
        vec![0x80, 255, 255, 255, 255, 255, 255, 255, 255],
        vec![0x81, 128, 0, 0, 0, 0, 0, 0, 0],
        raw::uint(u32::MAX),
        raw::list(0x28, &[]),
        vec![0x00, 0x00, 0x53, 0x28, 0x53, 0x28, 0x45],
        vec![0x94; 17],
        vec![0x03],
    ]);
    nasty
}

/// Every field of every frame, one after the other, is each of those.
#[test]
fn whatever_a_field_is_the_server_goes_on() {
    let victim = Victim::new();
    let good = conversation();
    let bodies: [(usize, u8, usize); 9] = [
        (3, 0x10, 10),
        (4, 0x11, 8),
        (5, 0x12, 14),
        (6, 0x12, 14),
        (9, 0x13, 11),
        (10, 0x14, 11),
        (13, 0x15, 6),
        (14, 0x16, 3),
        (16, 0x18, 1),
    ];
    for (at, code, fields) in bodies {
        for field in 0..fields {
            for (nth, value) in nasty().into_iter().enumerate() {
                // The others are numbers, which most of them are, or text.
                let other = if code == 0x10 && field > 0 {
                    raw::string("raw")
                } else {
                    raw::uint(1)
                };
                let mut list = vec![other; field];
                list.push(value);
                let mut frames = good[..at].to_vec();
                frames.push(raw::frame(0, 0, &raw::list(code, &list)));
                frames.extend_from_slice(&good[at + 1..]);
                let what = format!("field {field} of {code:#x} is value {nth}");
                victim.say(&frames.concat(), &what);
            }
        }
    }
    victim.check();
}

#[test]
fn wherever_it_is_cut_off_the_server_goes_on() {
    let victim = Victim::new();
    let whole = conversation().concat();
    for cut in 0..whole.len() {
        victim.say(&whole[..cut], &format!("cut off at {cut}"));
    }
    victim.check();
}

#[test]
fn whatever_messages_are_the_server_goes_on() {
    let victim = Victim::new();
    let mut said = conversation()[..9].concat();
    let mut id = 0;
    let mut send = |handle, payload: &[u8]| {
        for format in [0, BATCH] {
            said.extend(raw::frame(
                0,
                0,
                &transfer(handle, id, format, (false, false), payload),
            ));
            id += 1;
        }
    };
    let mut values = nasty();
    values.retain(|value| value.len() <= 50_100);
    for handle in [0, 2] {
        for section in 0x70..=0x79 {
            for value in &values {
                let section = [&[0x00, 0x53, section][..], value].concat();
                send(handle, &section);
                send(handle, &event(&section));
            }
        }
    }
    // A handle that there is not, one for what goes out, and one that has gone.
    for handle in [7, 1] {
        send(handle, &event(b"x"));
    }
    victim.say(&said, "messages");
    assert_eq!(victim.hubs.counts().broken_connections, 0);
    victim.check();
}

#[test]
fn whatever_comes_in_the_server_goes_on() {
    let (victim, seed) = (Victim::new(), 5);
    println!("seed {seed}");
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let good = conversation();
    let nasty = nasty();
    let mut answered = 0;
    for round in 0..3_000 {
        let mut frames = good.clone();
        // The first one is as it should be, to see that this conversation gets somewhere.
        for _ in 0..rng.random_range(0..4).min(round) {
            let chosen = rng.random_range(0..frames.len());
            let frame = &mut frames[chosen];
            let at = rng.random_range(0..frame.len());
            match rng.random_range(0..9) {
                0 => frame[at] = rng.random_range(0..=255),
                1 => frame[at] ^= 1 << rng.random_range(0..8),
                2 => frame.truncate(at),
                3 => frame.insert(at, rng.random_range(0..=255)),
                // A length, most likely, that is far too large.
                4 => frame[at] = 0xff,
                5 => frames.swap(chosen, rng.random_range(0..good.len())),
                // Its frame's size is right, all else may be wrong.
                6 => {
                    let value = &nasty[rng.random_range(0..nasty.len())];
                    frame.splice(at..at, value.iter().copied());
                    let size = u32::try_from(frame.len()).unwrap();
                    frame[..4].copy_from_slice(&size.to_be_bytes());
                }
                7 => frame[6..8].fill(rng.random_range(0..=255)),
                _ => {
                    let again = frame.clone();
                    frames.insert(chosen, again);
                }
            }
            frames.retain(|frame| frame.len() >= 8);
        }
        let said = victim.say(&frames.concat(), &format!("round {round}"));
        answered += usize::from(said.len() > 100);
    }
    assert!(answered > 900, "{answered}");
    let counts = victim.hubs.counts();
    assert!(
        counts.broken_connections > 300 && counts.events_in > 900,
        "{counts:?}"
    );
    victim.check();
}
