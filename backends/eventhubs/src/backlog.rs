//! What of one partition was read and is not finished: events that wait for `receive`, and those that
//! were delivered and may have to come again.

use crate::message::Read;
use std::collections::VecDeque;

/// The events of a partition in their order, around what is handed out next.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    items: VecDeque<Item>,
    /// Which item is handed out next.
    cursor: usize,
    /// Bytes of what was handed out, and of what was not.
    kept: usize,
    waiting: usize,
    /// What was read last, here or not.
    last: Option<i64>,
}

/// What stands in the log at one place.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Event(Read),
    /// Retention was faster: what stood between is gone (C14).
    Gap {
        from: i64,
        to: i64,
    },
}

impl Item {
    fn at(&self) -> i64 {
        match self {
            Self::Event(read) => read.at,
            Self::Gap { to, .. } => *to,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Event(read) => read.size(),
            Self::Gap { .. } => 0,
        }
    }
}

impl Backlog {
    /// Adds what was read next.
    pub(crate) fn take(&mut self, arrived: Vec<Item>) {
        for item in arrived {
            self.waiting += item.size();
            if let Item::Event(read) = &item {
                self.last = Some(read.at);
            }
            self.items.push_back(item);
        }
    }

    /// The next item, without handing it out.
    pub(crate) fn peek(&self) -> Option<&Item> {
        self.items.get(self.cursor)
    }

    /// The one that was peeked at is handed out.
    pub(crate) fn advance(&mut self) {
        if let Some(item) = self.items.get(self.cursor) {
            let size = item.size();
            self.waiting -= size;
            self.kept += size;
            self.cursor += 1;
        }
    }

    /// Lets go of what can't come again: all that was handed out before `oldest`, or, where nothing
    /// is unfinished, all that was. And of the oldest of the rest, down to `most` bytes: to come
    /// again, these have to be read again.
    pub(crate) fn trim(&mut self, oldest: Option<i64>, most: usize) {
        while self.cursor > 0
            && let Some(item) = self.items.front()
            && (self.kept > most || oldest.is_none_or(|oldest| item.at() < oldest))
        {
            self.kept -= item.size();
            self.items.pop_front();
            self.cursor -= 1;
        }
    }

    /// Goes back to `position`; false if that is no longer here, and has to be read again.
    pub(crate) fn rewind(&mut self, position: i64) -> bool {
        let index = self.items.partition_point(|item| {
            item.at() < position || item.at() == position && matches!(item, Item::Gap { .. })
        });
        if self
            .items
            .get(index)
            .is_none_or(|item| item.at() != position)
        {
            return false;
        }
        while self.cursor > index {
            self.cursor -= 1;
            let size = self.items[self.cursor].size();
            self.kept -= size;
            self.waiting += size;
        }
        true
    }

    /// Whether it holds as much as it should: then nothing more is read.
    pub(crate) fn is_full(&self, events: usize, bytes: usize) -> bool {
        self.waiting() >= events || self.waiting >= bytes
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.items.len() - self.cursor
    }

    /// What was read last.
    pub(crate) fn last(&self) -> Option<i64> {
        self.last
    }
}
