//! Which event each delivery is, where some are nacked at their first.

use anyhub_core::{Delivery, Event};
use anyhub_interop::{Left, Told, Whose, shown};
use std::collections::HashMap;

/// One of so many is nacked.
const NACKED: usize = 50;

/// Of a key events come in order, or from a nacked one on again; one without a key comes again if it was nacked.
pub(crate) struct Again<'a> {
    expected: &'a [Event],
    left: Left<'a>,
    /// How many were nacked and have not come again.
    open: usize,
    deliveries: usize,
    /// Of each event: its place in its key, and how often it came.
    places: Vec<usize>,
    times: Vec<usize>,
    keys: HashMap<Whose, Progress>,
    /// By position.
    known: HashMap<String, usize>,
}

#[derive(Default)]
struct Progress {
    length: usize,
    /// Where the next one is, if nothing comes again.
    next: usize,
}

impl<'a> Again<'a> {
    pub(crate) fn new(expected: &'a [Event]) -> Self {
        let mut keys: HashMap<Whose, Progress> = HashMap::new();
        let mut places = Vec::new();
        for event in expected {
            let key = keys.entry(Whose::of(event)).or_default();
            places.push(key.length);
            key.length += 1;
        }
        Self {
            expected,
            left: Left::new(expected, 0..expected.len()),
            open: (0..expected.len()).filter(|nth| is_nacked(*nth)).count(),
            deliveries: 0,
            places,
            times: vec![0; expected.len()],
            keys,
            known: HashMap::new(),
        }
    }

    /// Whether it is to be nacked.
    pub(crate) fn take(&mut self, delivery: &Delivery) -> Told<bool> {
        self.deliveries += 1;
        let (event, at) = (&delivery.event, delivery.position.to_string());
        let nth = match self.known.get(&at) {
            Some(nth) if *event == self.expected[*nth] => *nth,
            Some(_) => return Err(format!("{at}: differs the second time: {}", shown(event))),
            None => {
                let nth = self.left.take(event, &at)?;
                self.known.insert(at.clone(), nth);
                nth
            }
        };
        self.times[nth] += 1;
        if is_nacked(nth) && self.times[nth] == 2 {
            self.open -= 1;
            if delivery.attempt.get() < 2 {
                return Err(format!("{at}: attempt 1, and it was nacked"));
            }
        }
        let key = self.keys.entry(Whose::of(event)).or_default();
        let place = self.places[nth];
        if place != key.next && (place > key.next || !is_nacked(nth)) {
            let next = key.next;
            return Err(format!(
                "{at}: is event {place} of its key, and {next} was due: {}",
                shown(event)
            ));
        }
        key.next = place + 1;
        Ok(is_nacked(nth) && self.times[nth] == 1)
    }

    /// True once each has come, the nacked ones twice, and each key has got to its end again.
    pub(crate) fn is_over(&self) -> bool {
        let ended = |key: &Progress| key.next == key.length;
        self.left.count() == 0 && self.open == 0 && self.keys.values().all(ended)
    }

    pub(crate) fn nacked(&self) -> usize {
        (0..self.expected.len())
            .filter(|nth| is_nacked(*nth))
            .count()
    }

    pub(crate) fn deliveries(&self) -> usize {
        self.deliveries
    }
}

fn is_nacked(nth: usize) -> bool {
    nth.is_multiple_of(NACKED)
}
