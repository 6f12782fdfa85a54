//! A group's subscription, and a private reader's: found, checked, or made; and where it begins.

use crate::{
    api::{self, from_duration},
    client::Line,
    error::{HUB, invalid, unsupported},
    hub::PARTITION,
    message::published_at,
    name::{self, DELETED_TOPIC},
    options,
};
use anyhub_core::{ConsumerOptions, Error, ErrorKind, Partition, Point, Position, Result};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;
use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a consumer reads by.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Its full name.
    pub(crate) name: String,
    /// The topic's full name.
    pub(crate) topic: String,
    /// It is this consumer's alone, and goes with it.
    pub(crate) private: bool,
    pub(crate) ack_deadline: Duration,
    /// Tells this consumer's streams from others'.
    pub(crate) client_id: String,
    /// What is nacked too often goes to another topic.
    pub(crate) buries: bool,
}

/// Where a new subscription is to begin, as long as it does not: who makes it may die in between.
const START: &str = "anyhub-start";
/// A private reader's subscription that is left goes after the shortest time there is (reference of the API,
/// ExpirationPolicy, 2026-11).
const READER_LEFT: Duration = Duration::from_secs(86_400);

impl Subscription {
    /// The one that these options ask for, made if it is not there. NotFound without the topic; Unsupported for a start
    /// that the topic does not keep; Invalid for one that is there and can't be read so.
    pub(crate) async fn open(line: &Line, topic: &str, options: &ConsumerOptions) -> Result<Self> {
        let config = line.client().config();
        let full = name::topic(&config.project, topic, "consumer")?;
        let mut this = Self {
            name: match &options.group {
                Some(group) => name::subscription(&config.project, group, "consumer")?,
                None => name::reader(&config.project),
            },
            topic: full,
            private: options.group.is_none(),
            ack_deadline: config.ack_deadline,
            client_id: format!("{:032x}", rand::random::<u128>()),
            buries: false,
        };
        this.buries = this.dead_letters(line)?.is_some();
        if !this.private {
            match line.get_subscription("consumer", &this.name).await {
                Ok(found) => return this.taken_up(line, found).await,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let topic = line.get_topic("consumer", &this.topic).await?;
        let kept = from_duration(topic.message_retention_duration);
        let start = Start::of(&options.start, kept, "consumer")?;
        match line.create_subscription(this.made(line, start)?).await {
            Ok(()) => this.begin(line, start).await?,
            // Another member was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found = line.get_subscription("consumer", &this.name).await?;
                return this.taken_up(line, found).await;
            }
            Err(error) => return Err(error),
        }
        Ok(this)
    }

    fn dead_letters(&self, line: &Line) -> Result<Option<pb::DeadLetterPolicy>> {
        match self.private {
            true => Ok(None),
            false => options::dead_letters(line.client().config(), &self.topic),
        }
    }

    fn made(&self, line: &Line, start: Start) -> Result<pb::Subscription> {
        let config = line.client().config();
        let labels = start.label().map(|label| (START.to_owned(), label));
        Ok(pb::Subscription {
            name: self.name.clone(),
            topic: self.topic.clone(),
            enable_message_ordering: true,
            ack_deadline_seconds: self.seconds(),
            enable_exactly_once_delivery: config.exactly_once && !self.private,
            dead_letter_policy: self.dead_letters(line)?,
            message_retention_duration: config.retention.map(api::duration),
            labels: labels.into_iter().collect(),
            expiration_policy: Some(pb::ExpirationPolicy {
                // A group's never goes by itself.
                ttl: self.private.then(|| api::duration(READER_LEFT)),
            }),
            ..pb::Subscription::default()
        })
    }

    /// One that is there already.
    async fn taken_up(mut self, line: &Line, found: pb::Subscription) -> Result<Self> {
        if found.topic != self.topic {
            line.check_topic("consumer", &self.topic).await?;
        }
        self.check(&found)?;
        options::compare(line.client().config(), &found)?;
        self.buries = found.dead_letter_policy.is_some();
        let start = found
            .labels
            .get(START)
            .and_then(|label| Start::from_label(label));
        if let Some(start) = start {
            // Who made it has not come so far, or is about to.
            self.begin(line, start).await?;
        }
        Ok(self)
    }

    /// Invalid for a subscription that can't be read as the contract has it.
    fn check(&self, found: &pb::Subscription) -> Result<()> {
        let id = name::id(&self.name);
        let refused =
            |message: String, advice: &str| Err(invalid("consumer", message).with_advice(advice));
        if found.topic == DELETED_TOPIC {
            return refused(
                format!("the topic of the subscription '{id}' was deleted"),
                "delete the group, so that it is made anew, or take another one",
            );
        }
        if found.topic != self.topic {
            return refused(
                format!(
                    "the subscription '{id}' is of another topic, {}",
                    found.topic
                ),
                "take another group: here a group is a subscription, which has one topic",
            );
        }
        if found.detached {
            return refused(
                format!("the subscription '{id}' is detached from its topic"),
                "delete the group, so that it is made anew, or take another one",
            );
        }
        if !found.enable_message_ordering {
            return refused(
                format!("the subscription '{id}' does not keep the order of keys"),
                "that can't be changed: delete it and let it be made anew, or make it with message ordering on",
            );
        }
        Ok(())
    }

    /// Moves it to its start.
    async fn begin(&self, line: &Line, start: Start) -> Result<()> {
        let Some(time) = start.time() else {
            return Ok(());
        };
        line.seek("consumer", &self.name, time).await?;
        let begun = pb::Subscription {
            name: self.name.clone(),
            topic: self.topic.clone(),
            labels: HashMap::new(),
            ..pb::Subscription::default()
        };
        line.update_subscription(begun, &["labels"]).await
    }

    /// The ack deadline, as the service takes it.
    pub(crate) fn seconds(&self) -> i32 {
        self.ack_deadline.as_secs() as i32
    }
}

/// Where to begin, or to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the oldest that is kept.
    Beginning,
    Time(SystemTime),
    /// A new subscription is there by itself.
    End,
}

impl Start {
    /// What a point means on a topic that keeps its messages for so long. Unsupported where it keeps none.
    pub(crate) fn of(
        point: &Point,
        kept: Option<Duration>,
        operation: &'static str,
    ) -> Result<Self> {
        let now = SystemTime::now();
        let start = match point {
            Point::Start => Self::Beginning,
            Point::End => Self::End,
            Point::Time(time) if *time >= now => Self::End,
            Point::Time(time) => Self::Time(*time),
            Point::Positions(positions) => match of_partition(positions) {
                None => Self::Beginning,
                Some(position) => Self::Time(time_of(position, kept, now, operation)?),
            },
            _ => return Err(unsupported(operation, "this place is not known here")),
        };
        match (start, kept) {
            (Self::Beginning | Self::Time(_), None) => Err(unsupported(
                operation,
                "the topic keeps no messages, so that nothing earlier can be read",
            )
            .with_advice(
                "set its message retention, as Admin::set_retention does, or begin at Point::End",
            )),
            _ => Ok(start),
        }
    }

    /// The time to seek to; None: nothing is to be done for a new subscription.
    fn time(self) -> Option<SystemTime> {
        match self {
            Self::Beginning => Some(BEGINNING),
            Self::Time(time) => Some(time),
            Self::End => None,
        }
    }

    /// The time to seek to of a subscription that is there. By this machine's clock where that is now: the service tells
    /// none.
    pub(crate) fn sought(self) -> SystemTime {
        self.time().unwrap_or_else(SystemTime::now)
    }

    fn label(self) -> Option<String> {
        match self {
            Self::Beginning => Some("beginning".to_owned()),
            Self::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(format!("t{}", since.as_nanos()))
            }
            Self::End => None,
        }
    }

    fn from_label(label: &str) -> Option<Self> {
        if label == "beginning" {
            return Some(Self::Beginning);
        }
        let nanos = label.strip_prefix('t')?.parse().ok()?;
        Some(Self::Time(UNIX_EPOCH + Duration::from_nanos(nanos)))
    }
}

/// Before every message.
const BEGINNING: SystemTime = UNIX_EPOCH;

/// The position that is of our one partition.
pub(crate) fn of_partition(positions: &[(Partition, Position)]) -> Option<&Position> {
    let of = positions
        .iter()
        .find(|(partition, _)| *partition == PARTITION);
    of.map(|(_, position)| position)
}

/// When the message at a position, or right before it, was published. OutOfRange where that is not kept, or is to come.
fn time_of(
    position: &Position,
    kept: Option<Duration>,
    now: SystemTime,
    operation: &'static str,
) -> Result<SystemTime> {
    let time = position
        .as_sequence()
        .and_then(published_at)
        .ok_or_else(|| invalid(operation, format!("{position} is no position of this hub")))?;
    let out = |message: String| Err(Error::new(ErrorKind::OutOfRange, HUB, operation, message));
    if time > now {
        return out(format!(
            "the position {position} is beyond the newest message"
        ));
    }
    if kept.is_some_and(|kept| time.checked_add(kept).is_some_and(|until| until < now)) {
        return out(format!("the position {position} is not kept any more"));
    }
    // Of a position right after an event, too: others may have been published in the same moment.
    Ok(time)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const WEEK: Option<Duration> = Some(Duration::from_secs(7 * 86_400));

    #[test]
    fn a_start_is_kept_as_a_label() {
        let time = UNIX_EPOCH + Duration::from_nanos(1_800_000_000_123_456_789);
        for start in [Start::Beginning, Start::Time(time)] {
            let label = start.label().unwrap();
            assert!(
                label.len() <= 63
                    && label
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            );
            assert_eq!(Start::from_label(&label), Some(start));
        }
        assert_eq!(Start::End.label(), None);
        assert_eq!(Start::from_label("x"), None);
    }

    #[test]
    fn what_is_to_come_is_the_end_and_what_is_not_kept_is_refused() {
        let start = |point, kept| Start::of(&point, kept, "seek").map_err(|error| error.kind());
        let later = SystemTime::now() + Duration::from_secs(60);
        assert_eq!(start(Point::Time(later), None), Ok(Start::End));
        assert_eq!(start(Point::Start, WEEK), Ok(Start::Beginning));
        assert_eq!(start(Point::Start, None), Err(ErrorKind::Unsupported));
        let at = |position: Position| Point::Positions(vec![(PARTITION, position)]);
        assert_eq!(
            start(at(Position::offset(7)), WEEK),
            Err(ErrorKind::Invalid)
        );
        let old = anyhub_core::driver::Sequence::of(1_000_000_000 << 64, 0);
        assert_eq!(start(at(old.into()), WEEK), Err(ErrorKind::OutOfRange));
        let ever = Some(Duration::from_secs(i64::MAX as u64));
        assert!(start(at(old.into()), ever).is_ok());
    }
}
