//! What of one partition was read and is not finished: events that wait for `receive`, and those that
//! were delivered and may have to come again.

use crate::{Arrived, Page};
use std::collections::VecDeque;

/// The events of a partition in their order, around what is handed out next. They come and go by the
/// page: nothing is moved for each event.
#[derive(Debug)]
pub(crate) struct Backlog<P: Page> {
    parts: VecDeque<Part<P>>,
    /// What is handed out next: which part, and which of its items.
    part: usize,
    item: usize,
    /// Events and gaps that wait.
    waiting: usize,
    /// Bytes of what was handed out, and of what was not.
    kept: usize,
    waiting_bytes: usize,
    /// What was read last, here or not.
    last: Option<P::At>,
    /// Nothing more will come: the partition was split or merged, and is read to its end.
    ended: bool,
}

#[derive(Debug)]
enum Part<P: Page> {
    Page(P),
    Gap { from: P::At, to: P::At },
}

/// What stands in the log at one place.
#[derive(Debug)]
pub(crate) enum Item<'a, P: Page> {
    /// An event of a page, by its index.
    Event(&'a P, usize),
    /// Retention was faster: what stood between is gone (C14).
    Gap { from: P::At, to: P::At },
}

impl<P: Page> Part<P>
where
    P::At: Copy + Ord,
{
    fn len(&self) -> usize {
        match self {
            Self::Page(page) => page.len(),
            Self::Gap { .. } => 1,
        }
    }

    fn last(&self) -> Option<P::At> {
        match self {
            Self::Page(page) => page.last(),
            Self::Gap { to, .. } => Some(*to),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Page(page) => page.size(),
            Self::Gap { .. } => 0,
        }
    }

    fn size_of(&self, item: usize) -> usize {
        match self {
            Self::Page(page) => page.size_of(item),
            Self::Gap { .. } => 0,
        }
    }
}

impl<P: Page> Default for Backlog<P> {
    fn default() -> Self {
        Self {
            parts: VecDeque::new(),
            part: 0,
            item: 0,
            waiting: 0,
            kept: 0,
            waiting_bytes: 0,
            last: None,
            ended: false,
        }
    }
}

impl<P: Page> Backlog<P>
where
    P::At: Copy + Ord,
{
    /// Adds what was read next.
    pub(crate) fn take(&mut self, arrived: Arrived<P>) {
        self.last = arrived.page.last().or(self.last);
        let gap = arrived.gap.map(|(from, to)| Part::Gap { from, to });
        let page = (!arrived.page.is_empty()).then_some(Part::Page(arrived.page));
        for part in gap.into_iter().chain(page) {
            self.waiting += part.len();
            self.waiting_bytes += part.size();
            self.parts.push_back(part);
        }
    }

    /// The partition is read to its end.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The next item, without handing it out.
    pub(crate) fn peek(&self) -> Option<Item<'_, P>> {
        Some(match self.parts.get(self.part)? {
            Part::Page(page) => Item::Event(page, self.item),
            Part::Gap { from, to } => Item::Gap {
                from: *from,
                to: *to,
            },
        })
    }

    /// The one that was peeked at is handed out.
    pub(crate) fn advance(&mut self) {
        if let Some(part) = self.parts.get(self.part) {
            let size = part.size_of(self.item);
            self.waiting -= 1;
            self.waiting_bytes -= size;
            self.kept += size;
            self.item += 1;
            if self.item == part.len() {
                self.part += 1;
                self.item = 0;
            }
        }
    }

    /// Lets go of pages that can't come again: all that was handed out before `oldest`, or, where
    /// nothing is unfinished, all that was. And of the oldest of the rest, as long as more than `most`
    /// bytes are kept: to come again, these have to be read again.
    pub(crate) fn trim(&mut self, oldest: Option<P::At>, most: usize) {
        while self.part > 0
            && let Some(part) = self.parts.front()
            && (self.kept > most || oldest.is_none_or(|oldest| part.last() < Some(oldest)))
        {
            self.kept -= part.size();
            self.parts.pop_front();
            self.part -= 1;
        }
    }

    /// Goes back to `position`; false if that is no longer here, and has to be read again.
    pub(crate) fn rewind(&mut self, position: P::At) -> bool {
        let found = self.parts.iter().position(|part| match part {
            Part::Page(page) => page.last() >= Some(position),
            Part::Gap { .. } => false,
        });
        let Some(found) = found else {
            return false;
        };
        let Some(Part::Page(page)) = self.parts.get(found) else {
            return false;
        };
        let item = page.index_of(position);
        if page.at(item) != Some(position) {
            return false;
        }
        while (self.part, self.item) > (found, item) {
            if self.item == 0 {
                self.part -= 1;
                self.item = self.parts[self.part].len();
            }
            self.item -= 1;
            let size = self.parts[self.part].size_of(self.item);
            self.waiting += 1;
            self.waiting_bytes += size;
            self.kept -= size;
        }
        true
    }

    /// Whether all that the partition had was handed out.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.ended && self.waiting == 0
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// What was read last.
    pub(crate) fn last(&self) -> Option<P::At> {
        self.last
    }

    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_core::Event;
    use proptest::prelude::*;
    use std::time::SystemTime;

    type Backlog = super::Backlog<Numbers>;

    /// Events by their places, each of some bytes.
    #[derive(Debug)]
    struct Numbers(Vec<i64>);

    impl Page for Numbers {
        type At = i64;

        fn len(&self) -> usize {
            self.0.len()
        }

        fn size(&self) -> usize {
            (0..self.len()).map(|index| self.size_of(index)).sum()
        }

        fn size_of(&self, index: usize) -> usize {
            self.0[index] as usize % 7 + 10
        }

        fn at(&self, index: usize) -> Option<i64> {
            self.0.get(index).copied()
        }

        fn index_of(&self, at: i64) -> usize {
            self.0.partition_point(|there| *there < at)
        }

        fn event(&self, _: usize) -> Option<(Event, Option<SystemTime>)> {
            None
        }
    }

    fn at(number: u64) -> i64 {
        number as i64
    }

    fn page(numbers: std::ops::Range<u64>) -> Numbers {
        Numbers(numbers.map(at).collect())
    }

    fn next(backlog: &Backlog) -> Option<i64> {
        backlog.peek().map(|item| match item {
            Item::Event(page, index) => page.at(index).unwrap(),
            Item::Gap { to, .. } => to,
        })
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// So many events come, behind a gap or not.
        Take(u64, bool),
        Advance(usize),
        /// Everything before this event is finished.
        Trim(u64, usize),
        Rewind(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5u64, any::<bool>()).prop_map(|(events, gap)| Step::Take(events, gap)),
            (1..8usize).prop_map(Step::Advance),
            (0..60u64, 0..900usize).prop_map(|(oldest, most)| Step::Trim(oldest, most)),
            (0..60u64).prop_map(Step::Rewind),
        ]
    }

    proptest! {
        /// Against a list of all that ever came, and where in it the next one is.
        #[test]
        fn nothing_is_passed_over_or_miscounted(steps in prop::collection::vec(step(), 1..60)) {
            let mut backlog = Backlog::default();
            let (mut all, mut cursor, mut number) = (Vec::new(), 0, 0);
            for step in steps {
                match step {
                    Step::Take(events, gap) => {
                        let gap = gap.then(|| (at(number), at(number + 1)));
                        number += 1;
                        all.extend(gap.map(|(_, to)| (to, false)));
                        let numbers = number..number + events;
                        all.extend(numbers.clone().map(|number| (at(number), true)));
                        number += events;
                        backlog.take(Arrived { gap, page: page(numbers) });
                    }
                    Step::Advance(most) => {
                        for _ in 0..most.min(all.len() - cursor) {
                            prop_assert_eq!(next(&backlog), Some(all[cursor].0));
                            backlog.advance();
                            cursor += 1;
                        }
                    }
                    Step::Trim(oldest, most) => backlog.trim(Some(at(oldest)), most),
                    Step::Rewind(to) => {
                        if backlog.rewind(at(to)) {
                            let index = all.iter().position(|item| *item == (at(to), true));
                            cursor = cursor.min(index.unwrap());
                        }
                    }
                }
                prop_assert_eq!(next(&backlog), all.get(cursor).map(|item| item.0));
                prop_assert_eq!(backlog.waiting(), all.len() - cursor);
                let parts = backlog.parts.iter().map(Part::size).sum::<usize>();
                prop_assert_eq!(backlog.kept + backlog.waiting_bytes(), parts);
            }
            // With nothing unfinished and all handed out, nothing stays.
            while backlog.peek().is_some() {
                backlog.advance();
            }
            backlog.trim(None, usize::MAX);
            prop_assert_eq!((backlog.kept, backlog.parts.len()), (0, 0));
        }
    }

    #[test]
    fn what_is_unfinished_comes_again_until_there_is_too_much() {
        let mut backlog = Backlog::default();
        for first in [0, 10, 20] {
            backlog.take(Arrived {
                gap: None,
                page: page(first..first + 10),
            });
        }
        (0..25).for_each(|_| backlog.advance());
        backlog.trim(Some(at(12)), usize::MAX);
        assert!(!backlog.rewind(at(9)), "it was finished");
        assert!(backlog.rewind(at(12)));
        assert_eq!(next(&backlog), Some(at(12)));
        (0..13).for_each(|_| backlog.advance());
        backlog.trim(Some(at(12)), 0);
        assert!(!backlog.rewind(at(12)), "it has to be read again");
        assert_eq!(next(&backlog), Some(at(25)));
    }
}
