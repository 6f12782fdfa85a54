//! What we send: events of all sizes, most with a key and headers.

use anyhub_core::Event;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;

const EVENTS: usize = 10_000;

/// 10,000 events, made by the seed; the first one takes `largest` bytes, key and all.
pub fn events(seed: u64, largest: usize) -> Vec<Event> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let key = "largest";
    let largest = Event::new(vec![7; largest.saturating_sub(key.len())]).with_key(key);
    let mut events = vec![largest];
    events.extend((1..EVENTS).map(|nth| event(&mut random, nth)));
    events
}

fn event(random: &mut Pcg64Mcg, nth: usize) -> Event {
    let mut event = Event::new(payload(random));
    if random.random_bool(0.95) {
        event = event.with_key(key(random));
        if random.random_bool(0.2) {
            return event;
        }
    }
    // One without a key is known by its number.
    event = event.with_header("n", nth.to_string());
    let mut names = [
        "text",
        "имя",
        "empty",
        "longest",
        "a header with spaces",
        "7th",
    ];
    let (names, _) = rand::seq::SliceRandom::partial_shuffle(&mut names[..], random, 3);
    for name in names {
        let value = match *name {
            "empty" => String::new(),
            "longest" => "💡".repeat(256),
            _ => {
                let texts = ["en", "grüße", "a\nb", "true", "-7"];
                texts.choose(random).copied().unwrap_or_default().to_owned()
            }
        };
        event = event.with_header(*name, value);
    }
    event
}

/// Of one byte a character or of four; the same letter composed and not, which are two keys.
fn key(random: &mut Pcg64Mcg) -> String {
    let nth = random.random_range(0..400);
    let length = 1 + nth % 128;
    match nth % 8 {
        0 => format!("user-{nth}"),
        1 => format!("ключ-{nth}"),
        2 => "💡".repeat(length),
        3 => "k".repeat(length),
        4 => format!("\u{e9}-{}", nth / 16),
        5 => format!("e\u{301}-{}", nth / 16),
        6 => format!("\"מפתח\"\n{nth}"),
        _ => nth.to_string(),
    }
}

/// Mostly short, some of 200 KB.
fn payload(random: &mut Pcg64Mcg) -> Vec<u8> {
    let most = match random.random_range(0..500) {
        0 => 200_000,
        1..20 => 20_000,
        20..140 => 2_000,
        _ => 200,
    };
    let mut payload = vec![0; random.random_range(0..=most)];
    random.fill(&mut payload[..]);
    payload
}
