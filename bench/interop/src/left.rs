//! What has not come yet: nothing is missing, nothing comes twice, each key is in order.

use crate::Told;
use anyhub_core::Event;
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    fmt::Display,
};

/// Events of the same are in order; one without a key is alone, known by its number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those with a key.
    Key(Bytes),
    /// One without: its header `n`.
    Alone(Option<Bytes>),
}

impl Whose {
    /// Whose an event is.
    pub fn of(event: &Event) -> Self {
        match &event.key {
            Some(key) => Self::Key(key.clone().into()),
            None => {
                let number = event.headers.iter().find(|header| header.name() == "n");
                Self::Alone(number.map(|header| header.value().clone()))
            }
        }
    }
}

/// Of each key the events that have not come, in the order in which they were sent.
#[derive(Debug)]
pub struct Left<'a> {
    expected: &'a [Event],
    left: HashMap<Whose, VecDeque<usize>>,
    count: usize,
}

impl<'a> Left<'a> {
    /// That of the events with these numbers, which rise.
    pub fn new(expected: &'a [Event], numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut left: HashMap<Whose, VecDeque<usize>> = HashMap::new();
        let mut count = 0;
        for nth in numbers {
            let whose = Whose::of(&expected[nth]);
            left.entry(whose).or_default().push_back(nth);
            count += 1;
        }
        Self {
            expected,
            left,
            count,
        }
    }

    /// Which one it is. Err where it is not the next one of its key; `at` says where it was found.
    pub fn take(&mut self, event: &Event, at: impl Display) -> Told<usize> {
        let left = self.left.get_mut(&Whose::of(event));
        let nth = left.and_then(VecDeque::pop_front);
        let nth =
            nth.ok_or_else(|| format!("not sent, or sent once only: {at}: {}", shown(event)))?;
        if *event != self.expected[nth] {
            let (found, expected) = (shown(event), shown(&self.expected[nth]));
            return Err(format!("differs: {at}: {found}\n  expected {expected}"));
        }
        self.count -= 1;
        Ok(nth)
    }

    /// How many have not come.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Err where some have not come.
    pub fn check_none(&self) -> Told<()> {
        match self.count {
            0 => Ok(()),
            missing => Err(format!("{missing} events are missing")),
        }
    }
}

/// An event in a line.
pub fn shown(event: &Event) -> String {
    let start = &event.payload[..event.payload.len().min(20)];
    let (key, length, headers) = (&event.key, event.payload.len(), &event.headers);
    format!("{key:?}, {length} bytes {start:?}, {headers:?}")
}
