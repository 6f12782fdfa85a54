use crate::Place;
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_leases::natural_order;
use std::{
    cmp::Ordering,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where a partition is to be resumed, as its lease says it. As text: nothing, `time:MILLIS`, or the
/// text of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume<A> {
    /// At the partition's start.
    Start,
    /// At the first event that arrived then or later; whole milliseconds since 1970.
    Time(SystemTime),
    /// At the event that stands here, or the next one.
    At(A),
}

const TIME: &str = "time:";

impl<A: Place> Resume<A> {
    /// What the row of `part` says. Unexpected where that is none of ours.
    pub fn read(
        hub: &'static str,
        operation: &'static str,
        part: &str,
        text: Option<&str>,
    ) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self::Start);
        };
        Self::parse(text).ok_or_else(|| {
            let message = format!("the lease of {part} has '{text}', which is no checkpoint");
            Error::new(ErrorKind::Unexpected, hub, operation, message).with_advice(
                "it was damaged, or a newer version wrote it: seek, or delete the group",
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(TIME) {
            Some(millis) if millis.bytes().all(|byte| byte.is_ascii_digit()) => {
                let since = Duration::from_millis(millis.parse().ok()?);
                UNIX_EPOCH.checked_add(since).map(Self::Time)
            }
            Some(_) => None,
            None => A::parse(text).map(Self::At),
        }
    }

    /// For a lease.
    pub fn text(self) -> Option<Arc<str>> {
        match self {
            Self::Start => None,
            Self::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                // Not earlier than was asked for.
                let millis = since.as_nanos().div_ceil(1_000_000);
                Some(format!("{TIME}{millis}").into())
            }
            Self::At(place) => Some(place.to_string().into()),
        }
    }

    /// The place in the log, if it is one.
    pub fn place(self) -> Option<A> {
        match self {
            Self::Start | Self::Time(_) => None,
            Self::At(place) => Some(place),
        }
    }
}

/// Which of two checkpoints of one partition comes first: every time before every place in the log.
/// What is neither comes last, so that nothing replaces it unseen.
pub(crate) fn order<A: Place>(a: &str, b: &str) -> Ordering {
    let key = |text| match Resume::<A>::parse(text) {
        Some(Resume::Time(time)) => (0, Some(time), None),
        Some(resume) => (1, None, resume.place()),
        None => (2, None, None),
    };
    let (x, y) = (key(a), key(b));
    x.cmp(&y).then_with(|| match x.0 {
        2 => natural_order(a, b),
        _ => Ordering::Equal,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_core::driver::Sequence;
    use proptest::prelude::*;

    type Resume = super::Resume<Sequence>;

    fn order(a: &str, b: &str) -> Ordering {
        super::order::<Sequence>(a, b)
    }

    fn any_resume() -> impl Strategy<Value = Resume> {
        let event = ("[1-9][0-9]{0,55}", any::<u32>())
            .prop_map(|(number, index)| Sequence::at(&number, index).unwrap());
        prop_oneof![
            Just(Resume::Start),
            (0u64..1 << 48).prop_map(|ms| Resume::Time(UNIX_EPOCH + Duration::from_millis(ms))),
            event.clone().prop_map(Resume::At),
            event.prop_map(|event| Resume::At(event.after())),
        ]
    }

    fn any_text() -> impl Strategy<Value = String> {
        let ours = any_resume().prop_map(|resume| resume.text().unwrap_or_default().to_string());
        prop_oneof![3 => ours, 1 => "time:[0-9+]{0,22}", 1 => "[0-9]{0,3}[.+:x]{0,2}[0-9]{0,3}"]
    }

    proptest! {
        #[test]
        fn a_checkpoint_comes_back(resume in any_resume()) {
            let text = resume.text();
            let read = Resume::read("hub", "lag", "shard", text.as_deref()).unwrap();
            prop_assert_eq!(read, resume);
        }

        #[test]
        fn the_order_is_total(a in any_text(), b in any_text(), c in any_text()) {
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(order(&a, &a), Ordering::Equal);
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le());
            }
        }

        #[test]
        fn places_order_as_the_log(a in any_resume(), b in any_resume()) {
            if let (Some(x), Some(y)) = (a.place(), b.place()) {
                prop_assert_eq!(order(&a.text().unwrap(), &b.text().unwrap()), x.cmp(&y));
            }
        }
    }

    #[test]
    fn every_time_is_before_every_place_and_both_before_what_is_neither() {
        assert!(order("time:18446744073709551615", "0.0").is_lt());
        assert!(order("time:9", "time:10").is_lt());
        assert!(order("9.0", "10.0").is_lt() && order("9.0", "9.0+").is_lt());
        assert!(order("10.0+", "TRIM_HORIZON").is_lt());
        assert!(order("x9", "x10").is_lt());
    }

    #[test]
    fn what_is_none_names_its_shard() {
        for text in [
            "",
            "time:",
            "time:+7",
            "time:-1",
            "LATEST",
            "7",
            "time:99999999999999999999",
        ] {
            let error = Resume::read("hub", "lag", "shardId-000000000007", Some(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unexpected, "{text}");
            assert!(error.message().contains("shardId-000000000007"), "{error}");
        }
        let early = Resume::Time(UNIX_EPOCH + Duration::from_micros(1_001));
        assert_eq!(early.text().as_deref(), Some("time:2"));
    }

    #[test]
    fn numbers_are_places_too() {
        let read = |text| super::Resume::<i64>::read("hub", "lag", "3", Some(text));
        assert_eq!(read("42").unwrap(), super::Resume::At(42));
        for text in ["", "-1", "+1", "4.0", "99999999999999999999"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(super::order::<i64>("9", "10").is_lt());
        assert!(super::order::<i64>("time:10", "9").is_lt());
    }
}
