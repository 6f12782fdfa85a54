//! A partition's events, encoded as readers get them, in the order in which they came.
//!
//! What comes together is kept together: a small event costs its bytes and four more. Retention drops what came together whole,
//! oldest first.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;

use super::amqp::message::{Message, Stored};
use super::amqp::read::Malformed;
use super::segment::{Place, Segments};

/// What is kept of a message beside its events' bytes and the four for each.
const OVERHEAD: usize = size_of::<Chunk>();
/// What is written together is put together in a place of its own; one larger than this is not kept.
const SCRATCH: usize = 4 * 1024 * 1024;

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The oldest event.
    Earliest,
    /// What comes from now on.
    Latest,
    /// At or after an event.
    Sequence { number: i64, inclusive: bool },
    /// At or after an event, by its offset.
    Offset { number: i64, inclusive: bool },
    /// At or after a time; milliseconds since 1970.
    Time { millis: i64, inclusive: bool },
}

/// How much of it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// What an event's number takes of the offsets before a log's beginning, so that offsets that were given out before don't come
/// again either, at events of this size and at larger ones up to a GB/s where numbers count microseconds.
const OFFSETS: i64 = 1_000;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// The sequence number of the oldest event; of the next one where there is none.
    pub(super) first: i64,
    /// The last event's, kept or not; where there never was one, what is before the first: -1 of a log that begins with 0.
    pub(super) last: i64,
    /// The last event's offset, likewise, and the time it came, 0 where there never was one.
    pub(super) last_offset: i64,
    pub(super) last_time: i64,
    pub(super) empty: bool,
}

#[derive(Debug)]
pub(super) struct Log {
    chunks: VecDeque<Chunk>,
    segments: Segments,
    scratch: (BytesMut, Vec<u32>),
    /// The next event's place.
    next: i64,
    end: i64,
    ends: Ends,
    bytes: usize,
    retention: Retention,
}

/// Events that came together.
#[derive(Debug)]
struct Chunk {
    /// The first one's sequence number and offset.
    first: i64,
    start: i64,
    time: i64,
    place: Place,
}

impl Chunk {
    fn len(&self) -> i64 {
        // Fewer than the bytes of a message.
        i64::try_from(self.place.len()).unwrap_or(i64::MAX)
    }

    fn bytes(&self) -> usize {
        self.place.bytes() + OVERHEAD
    }
}

impl Log {
    /// Its first event gets this number, 0 or more; as if those before were past retention.
    pub(super) fn new(retention: Retention, first: i64) -> Self {
        let end = first.saturating_mul(OFFSETS);
        Log {
            chunks: VecDeque::new(),
            segments: Segments::default(),
            scratch: Default::default(),
            next: first,
            end,
            ends: Ends {
                first,
                last: first - 1,
                last_offset: end - 1,
                last_time: 0,
                empty: true,
            },
            bytes: 0,
            retention,
        }
    }

    /// Writes all events or none, each with its key.
    ///
    /// # Errors
    /// Malformed if one of them is.
    pub(super) fn append(
        &mut self,
        events: &[Message<'_>],
        keys: &[Option<&str>],
        now: i64,
    ) -> Result<(), Malformed> {
        // The clock may be set back; what came later never seems to have come earlier.
        let time = now.max(self.ends.last_time);
        let (mut data, mut ends) = std::mem::take(&mut self.scratch);
        data.clear();
        ends.clear();
        let mut last = self.end;
        for ((event, key), sequence) in events.iter().zip(keys).zip(self.next..) {
            last = self.end + i64::try_from(data.len()).unwrap_or(i64::MAX);
            let stored = Stored {
                sequence,
                offset: last,
                time,
                key: *key,
            };
            event.write(&mut data, &stored)?;
            ends.push(u32::try_from(data.len()).map_err(|_| Malformed("a batch is too large"))?);
        }
        let chunk = Chunk {
            first: self.next,
            start: self.end,
            time,
            place: self.segments.put(&data, &ends),
        };
        self.next += chunk.len();
        self.end += i64::try_from(data.len()).unwrap_or(i64::MAX);
        self.bytes += chunk.bytes();
        self.ends = Ends {
            last: self.next - 1,
            last_offset: last,
            last_time: time,
            empty: false,
            first: self.ends.first,
        };
        self.chunks.push_back(chunk);
        if data.capacity() <= SCRATCH {
            self.scratch = (data, ends);
        }
        self.trim(now);
        Ok(())
    }

    /// Changes how much is kept.
    pub(super) fn keep(&mut self, retention: Retention, now: i64) {
        self.retention = retention;
        self.trim(now);
    }

    /// Drops what retention no longer keeps.
    pub(super) fn trim(&mut self, now: i64) {
        let kept = i64::try_from(self.retention.time.as_millis()).unwrap_or(i64::MAX);
        let horizon = now.saturating_sub(kept);
        let before = self.chunks.len();
        while let Some(oldest) = self.chunks.front() {
            // What has just come is kept even if it is larger than all that may be.
            let fits = self.bytes <= self.retention.bytes || self.chunks.len() == 1;
            if fits && oldest.time >= horizon {
                break;
            }
            self.bytes -= oldest.bytes();
            self.chunks.pop_front();
        }
        if self.chunks.len() < before {
            let oldest = self.chunks.front();
            self.segments.give_up(oldest.map(|oldest| &oldest.place));
        }
        self.ends.first = self.chunks.front().map_or(self.next, |oldest| oldest.first);
        self.ends.empty = self.chunks.is_empty();
    }

    pub(super) fn ends(&self) -> Ends {
        self.ends
    }

    /// What is kept, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sequence number that a reader begins with.
    ///
    /// # Errors
    /// It asks for what never was; the error says what there is.
    pub(super) fn find(&self, start: &Start) -> Result<i64, String> {
        let after = |inclusive: bool| i64::from(!inclusive);
        let beyond = |what, number, last| {
            Err(format!(
                "The supplied {what} '{number}' is invalid. The last {what} in the system is '{last}'"
            ))
        };
        match *start {
            Start::Earliest => Ok(self.ends.first),
            Start::Latest => Ok(self.next),
            Start::Sequence { number, inclusive } => {
                let next = number.max(-1).saturating_add(after(inclusive));
                match next > self.next {
                    true => beyond("sequence number", number, self.ends.last),
                    false => Ok(next),
                }
            }
            Start::Offset { number, .. } if number > self.ends.last_offset => {
                beyond("offset", number, self.ends.last_offset)
            }
            Start::Offset { number, inclusive } => Ok(self.at_offset(number + after(inclusive))),
            Start::Time { millis, inclusive } => {
                let millis = millis.saturating_add(after(inclusive));
                let index = self.chunks.partition_point(|chunk| chunk.time < millis);
                Ok(self
                    .chunks
                    .get(index)
                    .map_or(self.next, |chunk| chunk.first))
            }
        }
    }

    /// The first event that begins at this offset or later.
    fn at_offset(&self, offset: i64) -> i64 {
        let index = self.chunks.partition_point(|chunk| chunk.start < offset);
        // It may be one of the chunk before, but not its first.
        let before = index
            .checked_sub(1)
            .and_then(|index| self.chunks.get(index));
        let after = self
            .chunks
            .get(index)
            .map_or(self.next, |chunk| chunk.first);
        let Some(chunk) = before else {
            return after;
        };
        let ends = self.segments.get(&chunk.place);
        let ends = ends.map_or(&[][..], |(_, ends)| ends);
        let within = ends.iter().zip(chunk.first + 1..);
        let mut within = within.take_while(|(_, number)| *number < after);
        let found = within.find(|(end, _)| chunk.start + i64::from(**end) >= offset);
        found.map_or(after, |(_, number)| number)
    }

    /// Reads on from `next`, or from the oldest event where that is gone, for as long as `take` wants more: it gets a
    /// sequence number and the event. Returns where to read on.
    pub(super) fn read(&self, next: i64, mut take: impl FnMut(i64, &[u8]) -> bool) -> i64 {
        let mut next = next.max(self.ends.first);
        let index = self
            .chunks
            .partition_point(|chunk| chunk.first + chunk.len() <= next);
        for chunk in self.chunks.range(index..) {
            let from = usize::try_from(next - chunk.first).unwrap_or(0);
            let Some((data, ends)) = self.segments.get(&chunk.place) else {
                return next;
            };
            let mut begin = from.checked_sub(1).and_then(|before| ends.get(before));
            for end in ends.iter().skip(from) {
                let begin = begin.replace(end).map_or(0, |begin| *begin as usize);
                let Some(event) = data.get(begin..*end as usize) else {
                    return next;
                };
                if !take(next, event) {
                    return next;
                }
                next += 1;
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A message whose body is this text.
    fn event(text: &str) -> Vec<u8> {
        let mut bytes = vec![0x00, 0x53, 0x75, 0xa0, u8::try_from(text.len()).unwrap()];
        bytes.extend(text.as_bytes());
        bytes
    }

    fn log(bytes: usize, millis: u64) -> Log {
        let retention = Retention {
            bytes,
            time: Duration::from_millis(millis),
        };
        Log::new(retention, 0)
    }

    fn append(log: &mut Log, texts: &[&str], now: i64) {
        let bytes: Vec<_> = texts.iter().map(|text| event(text)).collect();
        let events: Vec<_> = bytes.iter().map(|b| Message::read(b).unwrap()).collect();
        log.append(&events, &vec![None; events.len()], now).unwrap();
    }

    fn read(log: &Log, from: i64) -> Vec<(i64, String)> {
        let mut read = Vec::new();
        let next = log.read(from, |number, event| {
            // The body comes last.
            let text: String = event.rsplit(|b| *b == 0xa0).next().unwrap()[1..]
                .iter()
                .map(|b| char::from(*b))
                .collect();
            read.push((number, text));
            true
        });
        let last = read.last().map(|(number, _)| *number);
        assert_eq!(next, last.map_or(log.next.max(from), |last| last + 1));
        read
    }

    fn offsets(log: &Log) -> Vec<i64> {
        let chunks = log.chunks.iter();
        let begins = chunks.flat_map(|chunk| {
            let (_, ends) = log.segments.get(&chunk.place).unwrap();
            let begins = [0].into_iter().chain(ends.iter().copied());
            begins
                .take(ends.len())
                .map(|begin| chunk.start + i64::from(begin))
        });
        begins.collect()
    }

    #[test]
    fn what_is_written_is_read_from_wherever_one_begins() {
        let mut log = log(usize::MAX, u64::MAX);
        assert_eq!((read(&log, 0), log.ends().empty), (vec![], true));
        append(&mut log, &["a", "b", "c"], 100);
        append(&mut log, &["d"], 200);
        append(&mut log, &["e", "f"], 200);
        let all: Vec<_> = read(&log, 0).into_iter().map(|(_, text)| text).collect();
        assert_eq!(all.concat(), "abcdef");
        assert_eq!(read(&log, 4)[0], (4, "e".into()));
        assert_eq!(read(&log, 6), []);
        let mut some = 0;
        let next = log.read(1, |_, _| {
            some += 1;
            some < 4
        });
        assert_eq!(next, 4, "the fourth was not taken");

        let find = |start| log.find(&start).unwrap();
        assert_eq!((find(Start::Earliest), find(Start::Latest)), (0, 6));
        for (number, inclusive, found) in
            [(-1, false, 0), (2, true, 2), (2, false, 3), (5, false, 6)]
        {
            assert_eq!(find(Start::Sequence { number, inclusive }), found);
        }
        for (millis, inclusive, found) in [
            (0, true, 0),
            (100, true, 0),
            (100, false, 3),
            (150, true, 3),
            (200, true, 3),
            (200, false, 6),
        ] {
            assert_eq!(find(Start::Time { millis, inclusive }), found);
        }
        for (offset, sequence) in offsets(&log).into_iter().zip(0..) {
            let at = |number, inclusive| find(Start::Offset { number, inclusive });
            assert_eq!(at(offset, true), sequence);
            assert_eq!(at(offset, false), sequence + 1);
            assert_eq!(at(offset - 1, false), sequence);
        }
        let ends = log.ends();
        assert_eq!((ends.first, ends.last, ends.last_time), (0, 5, 200));
        assert_eq!(Some(&ends.last_offset), offsets(&log).last());
        // The next event may be waited for, but not the one after it.
        let sequence = |number, inclusive| log.find(&Start::Sequence { number, inclusive });
        assert_eq!(sequence(6, true), Ok(6));
        assert!(sequence(6, false).unwrap_err().contains("'5'"));
        assert!(sequence(i64::MAX, false).unwrap_err().contains("'5'"));
    }

    #[test]
    fn retention_by_size_drops_the_oldest_first() {
        let mut log = log(1_000, u64::MAX);
        for n in 0..1_000 {
            append(&mut log, &[&format!("{n}")], n);
            assert!(log.bytes() <= 1_000);
        }
        let kept = read(&log, 0);
        assert!((2..10).contains(&kept.len()), "{kept:?}");
        assert_eq!(kept.last().unwrap(), &(999, "999".into()));
        assert_eq!(log.ends().first, kept[0].0);
        let start = log.find(&Start::Sequence {
            number: 1,
            inclusive: true,
        });
        assert_eq!(
            read(&log, start.unwrap()),
            kept,
            "trimmed away: begins with the oldest"
        );
    }

    #[test]
    fn retention_by_time_drops_what_is_older() {
        let mut log = log(usize::MAX, 1_000);
        append(&mut log, &["old"], 0);
        append(&mut log, &["new"], 600);
        log.trim(1_000);
        assert_eq!(read(&log, 0).len(), 2);
        log.trim(1_001);
        assert_eq!(read(&log, 0), [(1, "new".into())]);
        log.trim(5_000);
        let ends = log.ends();
        assert_eq!((ends.first, ends.last, ends.empty), (2, 1, true));
        assert_eq!(log.bytes(), 0);
        append(&mut log, &["next"], 5_000);
        assert_eq!(read(&log, 0), [(2, "next".into())]);
    }

    #[test]
    fn one_that_begins_later_is_as_one_whose_events_are_gone() {
        let retention = log(usize::MAX, 1_000).retention;
        let mut gone = Log::new(retention, 0);
        append(&mut gone, &["old"; 7], 0);
        gone.trim(5_000);
        let mut log = Log::new(retention, 7);
        let of = |log: &Log| (log.ends().first, log.ends().last, log.ends().empty);
        assert_eq!(of(&log), of(&gone));
        assert_eq!(log.ends().last_offset, 6_999);
        let sequence = |log: &Log, number, inclusive| {
            let start = Start::Sequence { number, inclusive };
            log.find(&start).ok()
        };
        for number in -1..9 {
            let both = [&gone, &log].map(|log| sequence(log, number, false));
            assert_eq!(both[0], both[1], "{number}");
        }
        let last_offset = log.ends().last_offset;
        let after = |number| Start::Offset {
            number,
            inclusive: false,
        };
        assert_eq!(log.find(&after(last_offset)), Ok(7));
        assert!(log.find(&after(last_offset + 1)).is_err());
        append(&mut log, &["a", "b"], 5_000);
        let both = [(7, "a".into()), (8, "b".into())];
        assert_eq!(read(&log, 3), both);
        let find = |start: &Start| log.find(start).unwrap();
        assert_eq!((find(&Start::Earliest), find(&Start::Latest)), (7, 9));
        assert_eq!((find(&after(10)), find(&after(7_000))), (7, 8));
        assert_eq!(offsets(&log)[0], 7_000);
        assert_eq!((log.ends().first, log.ends().last), (7, 8));
    }

    #[test]
    fn a_clock_set_back_disorders_nothing() {
        let mut log = log(usize::MAX, u64::MAX);
        append(&mut log, &["a"], 500);
        append(&mut log, &["b"], 100);
        assert_eq!(log.ends().last_time, 500);
    }
}
