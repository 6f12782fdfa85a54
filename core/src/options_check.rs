use crate::{ConsumerOptions, Error, ErrorKind, ProducerOptions, Result};
use std::time::Duration;

/// A century: not far behind it a clock's time ends.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Refuses options that no producer can keep: Config, with the reason.
pub fn check_producer(options: &ProducerOptions, hub: &'static str) -> Result<()> {
    let wrong = |message: String| Err(Error::new(ErrorKind::Config, hub, "producer", message));
    if options.buffer_events == 0 || options.buffer_bytes == 0 {
        return wrong("a buffer of 0 admits nothing".to_owned());
    }
    if options.deadline < Duration::from_millis(10) {
        return wrong(format!(
            "a deadline of {:?} is too short: 10 ms or more",
            options.deadline
        ));
    }
    if options.deadline > LONGEST {
        return wrong(format!(
            "a deadline of {:?} is too long: 100 years or less",
            options.deadline
        ));
    }
    if options.linger >= options.deadline {
        return wrong(format!(
            "a linger of {:?} does not end before the deadline of {:?}",
            options.linger, options.deadline
        ));
    }
    Ok(())
}

/// Refuses options that no consumer can keep: Config, with the reason.
pub fn check_consumer(options: &ConsumerOptions, hub: &'static str) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(ErrorKind::Config, hub, "consumer", message));
    if options.group.as_deref() == Some("") {
        return wrong("the group's name is empty: leave the group out to read alone");
    }
    if options.max_processing < Duration::from_millis(100) {
        return wrong("max_processing is under 100 ms");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass() {
        assert!(check_producer(&ProducerOptions::new(), "hub").is_ok());
        assert!(check_consumer(&ConsumerOptions::new(), "hub").is_ok());
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let millis = Duration::from_millis;
        let plain = ProducerOptions::new;
        for options in [
            plain().buffer_events(0),
            plain().buffer_bytes(0),
            plain().deadline(millis(9)),
            plain().deadline(millis(20)).linger(millis(20)),
            plain().deadline(Duration::MAX),
        ] {
            let refused = check_producer(&options, "hub");
            assert!(refused.is_err_and(|it| it.kind() == ErrorKind::Config));
        }
        let plain = ConsumerOptions::new;
        for options in [plain().group(""), plain().max_processing(millis(99))] {
            let refused = check_consumer(&options, "hub");
            assert!(refused.is_err_and(|it| it.kind() == ErrorKind::Config));
        }
    }
}
