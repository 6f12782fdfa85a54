//! What a stream is like, waiting for what it is to become, and changing it.

use crate::{
    client::{Link, Stream},
    error::{HUB, failed, incomplete},
};
use anyhub_core::{Error, ErrorKind, Result};
use aws_sdk_kinesis::{
    error::{ProvideErrorMetadata, SdkError},
    types::{StreamMode, StreamStatus},
};
use std::{
    error::Error as StdError,
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// A stream as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) status: StreamStatus,
    /// Kinesis decides how many shards it has.
    pub(crate) on_demand: bool,
    pub(crate) open_shards: u32,
    pub(crate) retention_hours: u32,
    /// Of one record, key and data, where Kinesis tells.
    pub(crate) max_record_bytes: Option<usize>,
}

impl Summary {
    /// It can be written and read: a change of its shards hinders nobody.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.status, StreamStatus::Active | StreamStatus::Updating)
    }

    /// It can be changed.
    pub(crate) fn is_active(&self) -> bool {
        self.status == StreamStatus::Active
    }
}

/// How long a stream may stay as it is while something else is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// An account may ask 20 times a second (API reference, DescribeStreamSummary, 2026-11).
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the stream is like now. NotFound if it is not there.
pub(crate) async fn describe(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
) -> Result<Summary> {
    let request = link.patient(operation).await?.describe_stream_summary();
    let request = request
        .set_stream_name(stream.name())
        .set_stream_arn(stream.arn());
    let answer = request.send().await;
    let answer = answer.map_err(|error| failed(operation, stream.topic(), error))?;
    let told = answer
        .stream_description_summary
        .ok_or_else(|| incomplete(operation, "summary of the stream"))?;
    let mode = told.stream_mode_details.map(|details| details.stream_mode);
    Ok(Summary {
        name: told.stream_name,
        arn: told.stream_arn,
        status: told.stream_status,
        on_demand: mode == Some(StreamMode::OnDemand),
        open_shards: u32::try_from(told.open_shard_count).unwrap_or(0),
        retention_hours: u32::try_from(told.retention_period_hours).unwrap_or(0),
        max_record_bytes: told
            .max_record_size_in_kib
            .and_then(|kib| usize::try_from(kib).ok())
            .map(|kib| kib << 10),
    })
}

/// Waits for a stream to be as it should, for as long as it goes on changing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) patience: Duration,
    /// It was made just now, and may not be known everywhere yet.
    pub(crate) is_new: bool,
}

impl Wait {
    pub(crate) const USUAL: Self = Self {
        patience: PATIENCE,
        is_new: false,
    };

    /// NotFound if it is not there or is being deleted, Timeout if nothing changes.
    pub(crate) async fn until(
        self,
        link: &Link,
        operation: &'static str,
        stream: &Stream,
        reached: impl Fn(&Summary) -> bool,
    ) -> Result<Summary> {
        let (mut seen, mut since) = (None, Instant::now());
        let mut pause = FIRST_PAUSE;
        loop {
            let summary = match describe(link, operation, stream).await {
                Ok(summary) if summary.status == StreamStatus::Deleting => {
                    let message = format!("the stream '{}' is being deleted", stream.topic());
                    return Err(Error::new(ErrorKind::NotFound, HUB, operation, message)
                        .with_advice("once it is gone, create it anew with Admin::create_topic"));
                }
                Ok(summary) if reached(&summary) => return Ok(summary),
                Ok(summary) => Some(summary),
                Err(error) if self.is_new && error.kind() == ErrorKind::NotFound => None,
                // Others of the account ask, too.
                Err(error) if error.kind() == ErrorKind::Throttled => seen.clone(),
                Err(error) => return Err(error),
            };
            if seen != summary {
                (seen, since) = (summary, Instant::now());
            }
            if since.elapsed() >= self.patience {
                return Err(self.too_long(operation, stream, seen));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn too_long(self, operation: &'static str, stream: &Stream, seen: Option<Summary>) -> Error {
        let state = match seen {
            Some(seen) => format!("{} with {} shards", seen.status, seen.open_shards),
            None => "unknown".to_owned(),
        };
        let message = format!(
            "the stream '{}' has been {state} for {:?}",
            stream.topic(),
            self.patience
        );
        Error::new(ErrorKind::Timeout, HUB, operation, message)
            .with_advice("it may still become what it should: look again with describe_topic")
    }
}

/// Waits until the stream can be written and read.
pub(crate) async fn usable(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
) -> Result<Summary> {
    let wait = Wait::USUAL;
    wait.until(link, operation, stream, Summary::is_usable)
        .await
}

/// Waits until the stream can be changed.
pub(crate) async fn active(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
) -> Result<Summary> {
    let wait = Wait::USUAL;
    wait.until(link, operation, stream, Summary::is_active)
        .await
}

/// Waits until a stream that is being deleted is gone.
pub(crate) async fn gone(link: &Link, operation: &'static str, stream: &Stream) -> Result<()> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match describe(link, operation, stream).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Throttled => return Err(error),
            // Another one by its name, made by somebody else.
            Ok(summary) if summary.status == StreamStatus::Creating => return Ok(()),
            _ if begun.elapsed() >= PATIENCE => {
                let message = format!("the stream '{}' is still there", stream.topic());
                return Err(Error::new(ErrorKind::Timeout, HUB, operation, message)
                    .with_advice("it is being deleted, and goes by itself"));
            }
            _ => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Carries out a change that wants the stream ACTIVE, and waits until it is ACTIVE again.
///
/// What is asked for must not be tried again by itself: were its answer lost, the second try would
/// be refused for what the first one did.
pub(crate) async fn change<T, E, R, F>(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    let answer = begin(link, operation, stream, ask).await?;
    active(link, operation, stream).await?;
    Ok(answer)
}

/// Has a change begun that wants the stream ACTIVE.
pub(crate) async fn begin<T, E, R, F>(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    mut ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    let begun = Instant::now();
    loop {
        active(link, operation, stream).await?;
        match paced(operation, stream, &mut ask).await {
            // Somebody else's change came first.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if begun.elapsed() >= PATIENCE {
                    let message = format!("the stream '{}' is in use", stream.topic());
                    return Err(Error::new(ErrorKind::Unavailable, HUB, operation, message)
                        .with_advice("others change it, too: try again when they are done")
                        .with_source(error));
                }
                sleep(LONGEST_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Asks again, some times, for what is refused for its pace alone: that was not carried out.
pub(crate) async fn paced<T, E, R, F>(
    operation: &'static str,
    stream: &Stream,
    mut ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let refused = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => failed(operation, stream.topic(), error),
        };
        if refused.kind() != ErrorKind::Throttled || pause >= LONGEST_PAUSE {
            return Err(refused);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::KinesisConfig;
    use anyhub_local::Kinesis;

    #[tokio::test(flavor = "multi_thread")]
    async fn waiting_has_an_end() {
        let hour = Duration::from_secs(3_600);
        let kinesis = Kinesis::builder().transition(hour).start().unwrap();
        let config = KinesisConfig::new().region("us-east-1");
        let link = &Link::new(config.endpoint(kinesis.endpoint()));
        let client = link.patient("test").await.unwrap();
        let create = client.create_stream().stream_name("s").shard_count(1);
        create.send().await.unwrap();

        let short = Wait {
            patience: Duration::from_millis(300),
            is_new: false,
        };
        let wait = async |wait: Wait, name: &str| {
            let stream = Stream::new("create_topic", name).unwrap();
            let wait = wait.until(link, "create_topic", &stream, Summary::is_active);
            wait.await.unwrap_err()
        };
        let error = wait(short, "s").await;
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_retryable());
        assert!(error.message().contains("has been CREATING"), "{error}");
        let error = wait(short, "nowhere").await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let new = Wait {
            is_new: true,
            ..short
        };
        let error = wait(new, "nowhere").await;
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("unknown"), "{error}");
    }
}
