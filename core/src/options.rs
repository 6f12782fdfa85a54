use crate::{Partition, Position};
use std::time::{Duration, SystemTime};

/// How a producer buffers and for how long it tries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// Bytes admitted and not yet resolved; `submit` waits above it. 64 MiB; at most 4 GiB.
    pub buffer_bytes: usize,
    /// Events admitted and not yet resolved; `submit` waits above it. 200,000.
    pub buffer_events: usize,
    /// Within this every submit, flush and close resolves (P2). 60 s.
    pub deadline: Duration,
    /// How long a batch on the wire waits to fill. 5 ms.
    pub linger: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            buffer_bytes: 64 << 20,
            buffer_events: 200_000,
            deadline: Duration::from_secs(60),
            linger: Duration::from_millis(5),
        }
    }
}

impl ProducerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`buffer_bytes`](Self::buffer_bytes).
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// Sets [`buffer_events`](Self::buffer_events).
    pub fn buffer_events(mut self, events: usize) -> Self {
        self.buffer_events = events;
        self
    }

    /// Sets [`deadline`](Self::deadline).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets [`linger`](Self::linger).
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }
}

/// A place in a topic to start at or to seek to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// The oldest event that is kept.
    Start,
    /// After the newest event, made concrete when it is asked for (C7).
    End,
    /// The first event published at or after this time, by the hub's clock (E4); where there is none
    /// yet, as for a time to come, the end as it is now.
    Time(SystemTime),
    /// These positions, an event's own or right behind one ([`Position::after`]); partitions that are
    /// not named stay (seek) or begin at their start (start).
    Positions(Vec<(Partition, Position)>),
}

/// How a consumer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// The consumer group whose members share the partitions and the checkpoints. None reads all
    /// partitions and commits nothing (C12).
    pub group: Option<String>,
    /// Where to begin when the group has nothing committed (C7). [`Point::Start`].
    pub start: Point,
    /// Bytes fetched ahead of `receive`. 64 MiB.
    pub prefetch_bytes: usize,
    /// Events fetched ahead of `receive`. 100,000.
    pub prefetch_events: usize,
    /// Events of a lane delivered beyond its finished prefix; above it the lane pauses (C4).
    /// 100,000, each 32 bytes.
    pub max_unfinished: usize,
    /// An ack is durable at most this much later (C3). 1 s.
    pub commit_interval: Duration,
    /// How long an application may go without calling `receive` and keep its partitions (C2).
    /// 5 min.
    pub max_processing: Duration,
    /// The wait before a nacked event comes again, doubled at each further nack (C5). 100 ms.
    pub nack_delay: Duration,
    /// Where that doubling ends. 10 s.
    pub nack_delay_max: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            group: None,
            start: Point::Start,
            prefetch_bytes: 64 << 20,
            prefetch_events: 100_000,
            max_unfinished: 100_000,
            commit_interval: Duration::from_secs(1),
            max_processing: Duration::from_secs(300),
            nack_delay: Duration::from_millis(100),
            nack_delay_max: Duration::from_secs(10),
        }
    }
}

impl ConsumerOptions {
    /// The defaults: a private reader from the start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins the consumer group `name`.
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = Some(name.into());
        self
    }

    /// Sets [`start`](Self::start).
    pub fn start(mut self, start: Point) -> Self {
        self.start = start;
        self
    }

    /// Sets [`prefetch_bytes`](Self::prefetch_bytes).
    pub fn prefetch_bytes(mut self, bytes: usize) -> Self {
        self.prefetch_bytes = bytes;
        self
    }

    /// Sets [`prefetch_events`](Self::prefetch_events).
    pub fn prefetch_events(mut self, events: usize) -> Self {
        self.prefetch_events = events;
        self
    }

    /// Sets [`max_unfinished`](Self::max_unfinished).
    pub fn max_unfinished(mut self, events: usize) -> Self {
        self.max_unfinished = events;
        self
    }

    /// Sets [`commit_interval`](Self::commit_interval).
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// Sets [`max_processing`](Self::max_processing).
    pub fn max_processing(mut self, limit: Duration) -> Self {
        self.max_processing = limit;
        self
    }

    /// Sets [`nack_delay`](Self::nack_delay) and [`nack_delay_max`](Self::nack_delay_max).
    pub fn nack_delay(mut self, first: Duration, longest: Duration) -> Self {
        self.nack_delay = first;
        self.nack_delay_max = longest;
        self
    }
}
