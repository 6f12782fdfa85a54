//! Where a consumer begins, or goes on.

use crate::{
    error::{HUB, invalid, unsupported},
    hub::PARTITION,
    message::published_at,
};
use anyhub_core::{Error, ErrorKind, Partition, Point, Position, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    pub(super) fn time(self) -> Option<SystemTime> {
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

    /// As a label of a subscription has it.
    pub(super) fn label(self) -> Option<String> {
        match self {
            Self::Beginning => Some("beginning".to_owned()),
            Self::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(format!("t{}", since.as_nanos()))
            }
            Self::End => None,
        }
    }

    pub(super) fn from_label(label: &str) -> Option<Self> {
        if label == "beginning" {
            return Some(Self::Beginning);
        }
        let nanos = label.strip_prefix('t')?.parse().ok()?;
        Some(Self::Time(UNIX_EPOCH + Duration::from_nanos(nanos)))
    }
}

/// A message of which this machine's clock says that it is to come so soon is there: the clock is behind the service's.
/// What is sought is now by this clock then, which only replays a little more.
const SKEW: Duration = Duration::from_secs(300);
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
    if time > now && time.duration_since(now).is_ok_and(|ahead| ahead <= SKEW) {
        return Ok(now);
    }
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
        let at_time = |time: SystemTime| {
            let nanos = time.duration_since(UNIX_EPOCH).unwrap().as_nanos();
            anyhub_core::driver::Sequence::of(nanos << 64, 0).into()
        };
        let now = SystemTime::now();
        let found = time_of(&at_time(now + SKEW), WEEK, now, "seek");
        assert_eq!(
            found.unwrap(),
            now,
            "it was received, and our clock is behind"
        );
        let beyond = now + SKEW + Duration::from_secs(1);
        let found = time_of(&at_time(beyond), WEEK, now, "seek");
        assert_eq!(found.unwrap_err().kind(), ErrorKind::OutOfRange);
        let ever = Some(Duration::from_secs(i64::MAX as u64));
        assert!(start(at(old.into()), ever).is_ok());
    }
}
