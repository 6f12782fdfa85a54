use std::{fmt, sync::Arc};

/// Names one delivery to one owner; small, and stale once that owner has lost the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckToken {
    lane: u32,
    epoch: u32,
    seq: u64,
    attempt: u32,
}

impl AckToken {
    pub(crate) fn new(lane: u32, epoch: u32, seq: u64, attempt: u32) -> Self {
        Self {
            lane,
            epoch,
            seq,
            attempt,
        }
    }

    /// Which lane of the consumer it belongs to.
    pub(crate) fn lane(self) -> usize {
        self.lane as usize
    }

    /// Which ownership of that lane.
    pub(crate) fn epoch(self) -> u32 {
        self.epoch
    }

    /// Which delivery within that ownership, and which attempt at it.
    pub(crate) fn delivery(self) -> (u64, u32) {
        (self.seq, self.attempt)
    }
}

/// What a token is made of, for a backend that keeps its deliveries by itself, and not in
/// [`Lanes`](crate::driver::Lanes). What the parts mean is its own affair: a token that was given out is
/// good for as long as all of them are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenParts {
    /// Which lane of the consumer it belongs to.
    pub lane: u32,
    /// Which ownership of that lane.
    pub epoch: u32,
    /// Which event within that ownership.
    pub seq: u64,
    /// Which delivery of that event.
    pub attempt: u32,
}

impl From<TokenParts> for AckToken {
    fn from(parts: TokenParts) -> Self {
        Self::new(parts.lane, parts.epoch, parts.seq, parts.attempt)
    }
}

impl From<AckToken> for TokenParts {
    fn from(token: AckToken) -> Self {
        Self {
            lane: token.lane,
            epoch: token.epoch,
            seq: token.seq,
            attempt: token.attempt,
        }
    }
}

/// What a backend does with acknowledgements: local marks, no I/O, callable from any thread.
pub trait AckSink: fmt::Debug + Send + Sync + 'static {
    /// Marks these as finished; returns how many of the tokens were still valid.
    fn ack(&self, tokens: &[AckToken]) -> usize;

    /// Asks for these to come again (C5); returns how many of the tokens were still valid.
    fn nack(&self, tokens: &[AckToken]) -> usize;
}

/// Acknowledges deliveries of one consumer from any task or thread, in any order (C3).
///
/// ```
/// # use anyhub_core::{*, memory::MemoryHub};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// # let hub = MemoryHub::new();
/// # hub.admin().create_topic(&TopicConfig::new("tweets")).await?;
/// # let producer = hub.producer("tweets", ProducerOptions::new()).await?;
/// # producer.send(Event::new("hello").with_key("user-1")).await?;
/// let mut consumer = hub.consumer("tweets", ConsumerOptions::new().group("score")).await?;
/// let acks = consumer.acks();
/// let mut tokens = Vec::new();
/// while tokens.is_empty() {
///     tokens = consumer.receive(100).await?.tokens();
/// }
/// assert_eq!(acks.ack(&tokens), 1);
/// assert_eq!(acks.ack(&tokens), 0, "a token is good once");
/// consumer.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Acks(Arc<dyn AckSink>);

impl Acks {
    /// Acks that go to a backend's sink.
    pub fn new(sink: Arc<dyn AckSink>) -> Self {
        Self(sink)
    }

    /// Marks deliveries as finished and returns how many tokens were still valid; stale ones
    /// change nothing. Durable after [`commit`](crate::Consumer::commit) or
    /// [`close`](crate::Consumer::close), or within the commit interval.
    pub fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }

    /// Asks for deliveries to come again and returns how many tokens were still valid. Each rewinds
    /// its key: that event, then every later one of the key that was delivered (C5).
    pub fn nack(&self, tokens: &[AckToken]) -> usize {
        self.0.nack(tokens)
    }
}
