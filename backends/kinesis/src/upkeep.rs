//! What goes on beside the lanes: waiting for a new stream, listing shards, looking for what is late.

use crate::{
    client::{Link, Stream},
    error::{HUB, failed, no_topic},
    send::Core,
    shards,
};
use anyhub_core::{Error, ErrorKind, Result};
use aws_sdk_kinesis::types::StreamStatus;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, sleep_until, timeout};

/// Making a stream takes seconds, rarely more than a minute.
const MADE_WITHIN: Duration = Duration::from_secs(120);
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// Waits while the stream is being made. The most bytes of a record, where Kinesis tells.
pub(crate) async fn await_active(link: &Link, stream: &Stream) -> Result<Option<usize>> {
    let described = timeout(MADE_WITHIN, described(link, stream)).await;
    described.map_err(|_| {
        let message = format!("the stream '{}' is still being made", stream.topic());
        Error::new(ErrorKind::Timeout, HUB, "producer", message)
    })?
}

async fn described(link: &Link, stream: &Stream) -> Result<Option<usize>> {
    let client = link.patient("producer").await?;
    loop {
        let answer = client
            .describe_stream_summary()
            .set_stream_name(stream.name())
            .set_stream_arn(stream.arn())
            .send()
            .await
            .map_err(|error| failed("producer", stream.topic(), error))?;
        let summary = answer.stream_description_summary;
        let largest = summary
            .as_ref()
            .and_then(|summary| summary.max_record_size_in_kib);
        match summary.map(|summary| summary.stream_status) {
            Some(StreamStatus::Creating) => sleep(ASKED_EVERY).await,
            Some(StreamStatus::Deleting) => return Err(no_topic("producer", stream.topic())),
            _ => {
                return Ok(largest
                    .and_then(|kib| usize::try_from(kib).ok())
                    .map(|kib| kib << 10));
            }
        }
    }
}

const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_LATEST: Duration = Duration::from_secs(5);

/// Lists the shards when an answer has named another one than was meant.
pub(crate) async fn keep_map(core: Arc<Core>, link: Link) {
    let bell = core.lanes().map_bell();
    let ended = core.lanes().ended();
    let mut wait = Duration::ZERO;
    loop {
        let end = pin!(ended.notified());
        let (done, wanted) = {
            let lanes = core.lanes();
            (lanes.is_done(), lanes.wants_map())
        };
        if done {
            return;
        }
        if !wanted {
            bell.notified().await;
            continue;
        }
        let list = async {
            // One that lags behind is asked again, and no list is asked for all the time.
            sleep(wait).await;
            shards::list(&link, "submit", &core.stream).await
        };
        let listed = tokio::select! {
            listed = list => listed,
            () = end => return,
        };
        wait = (wait.max(AGAIN) * 2).min(AGAIN_LATEST);
        match listed {
            Ok(listed) => {
                let born = core.lanes().mapped(listed, Instant::now());
                if !born.is_empty() {
                    wait = Duration::ZERO;
                }
                core.start(born);
            }
            Err(error) => {
                tracing::warn!(hub = HUB, topic = core.stream.topic(), %error, "can't list shards");
            }
        }
    }
}

/// Tells what is late, whatever Kinesis does.
pub(crate) async fn expire(core: Arc<Core>, deadline: Duration) {
    let bell = core.lanes().late_bell();
    loop {
        let (next, done) = {
            let mut lanes = core.lanes();
            (lanes.expire(Instant::now()), lanes.is_done())
        };
        if done {
            return;
        }
        let next = next.unwrap_or_else(|| Instant::now() + deadline);
        tokio::select! {
            () = sleep_until(next.into()) => {}
            () = bell.notified() => {}
        }
    }
}
