//! A lane's requests on their way: PutRecords out, answers in.

use crate::{
    aggregate::Aggregator,
    client::Stream,
    error::{self, failed},
    lanes::{Answer, Entry, Landed, LaneId, Lanes, Request, Rest, Step},
    usage::Counters,
};
use anyhub_core::{Error, ErrorKind, driver::Sequence};
use aws_sdk_kinesis::{
    Client,
    error::SdkError,
    operation::put_records::{PutRecordsError, PutRecordsOutput},
    primitives::Blob,
    types::PutRecordsRequestEntry,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::time::sleep_until;

/// What the tasks of a producer share; it lives until all that was admitted is told.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) client: Client,
    pub(crate) stream: Stream,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lanes: Mutex<Lanes>,
}

impl Core {
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the tasks of new lanes.
    pub(crate) fn start(self: &Arc<Self>, born: Vec<LaneId>) {
        for lane in born {
            tokio::spawn(run(self.clone(), lane));
        }
    }
}

/// One lane, until its shard is gone or the producer ends.
async fn run(core: Arc<Core>, lane: LaneId) {
    let Some(bell) = core.lanes().bell(lane) else {
        return;
    };
    let mut aggregator = Aggregator::new();
    loop {
        let step = core.lanes().next(lane, Instant::now());
        match step {
            Step::Gone => return,
            Step::Wait(None) => bell.notified().await,
            Step::Wait(Some(until)) => {
                tokio::select! {
                    () = bell.notified() => {}
                    () = sleep_until(until.into()) => {}
                }
            }
            Step::Send(request) => {
                let rest = send(&core, request, &mut aggregator).await;
                core.lanes().answered(lane, rest, Instant::now());
            }
        }
    }
}

async fn send(core: &Core, request: Request, aggregator: &mut Aggregator) -> Rest {
    let (records, sizes) = encode(&request, aggregator);
    let sending = core
        .client
        .put_records()
        .set_stream_name(core.stream.name())
        .set_stream_arn(core.stream.arn())
        .set_records(Some(records))
        .send();
    tokio::pin!(sending);
    let mut first = request.first_deadline();
    let answer = loop {
        tokio::select! {
            answer = &mut sending => break understood(core, answer),
            () = sleep_until(first.into()) => match request.expire(Instant::now()) {
                Some(next) => first = next,
                // Nobody waits for it any more, and the next ones shall not have to.
                None => {
                    let message = "given up at the deadline of all of its events";
                    break Answer::Lost(Error::new(ErrorKind::Timeout, error::HUB, "submit", message));
                }
            }
        }
    };
    count(core, &answer, &sizes);
    request.settle(answer)
}

/// What was written is billed; what may have been is counted too.
fn count(core: &Core, answer: &Answer, sizes: &[usize]) {
    match answer {
        Answer::Records(landed) => {
            let written = |landed: &Landed| matches!(landed, Landed::Written { .. });
            let each = landed.iter().zip(sizes);
            let put = each.filter_map(|(landed, size)| written(landed).then_some(*size));
            core.counters.put(put);
        }
        Answer::Lost(_) => core.counters.put(sizes.iter().copied()),
        Answer::Unwritten(_) | Answer::Refused(_) => {}
    }
}

/// The records as Kinesis takes them, and the bytes of each: partition key and data.
fn encode(
    request: &Request,
    aggregator: &mut Aggregator,
) -> (Vec<PutRecordsRequestEntry>, Vec<usize>) {
    let mut sizes = Vec::with_capacity(request.records.len());
    let mut records = Vec::with_capacity(request.records.len());
    for record in &request.records {
        let entries = &request.entries[record.entries.clone()];
        let (key, hash, data) = match entries {
            [lone] if lone.is_plain() => {
                let (key, hash) = lone.address();
                (key.into_owned(), hash, lone.payload().to_vec())
            }
            _ => together(entries, aggregator),
        };
        sizes.push(key.len() + data.len());
        let record = PutRecordsRequestEntry::builder()
            .partition_key(key)
            .set_explicit_hash_key(hash.map(|hash| hash.to_string()))
            .data(Blob::new(data))
            .build();
        // It fails for want of a key or of data only.
        records.extend(record.ok());
    }
    (records, sizes)
}

fn together(entries: &[Entry], aggregator: &mut Aggregator) -> (String, Option<u128>, Vec<u8>) {
    for entry in entries {
        let (key, hash) = entry.address();
        let pushed = aggregator.try_push(usize::MAX, &key, hash, entry.payload());
        debug_assert!(pushed, "a record is below Kinesis' own limit");
    }
    match aggregator.finish() {
        Some(record) => (record.partition_key, record.hash_key, record.data),
        None => Default::default(),
    }
}

type Answered = Result<PutRecordsOutput, SdkError<PutRecordsError>>;

fn understood(core: &Core, answer: Answered) -> Answer {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return refused(core, error),
    };
    let landed = answer.records.into_iter().map(|record| {
        match (
            record.error_code.as_deref(),
            record.shard_id,
            record.sequence_number,
        ) {
            (None, Some(shard), Some(number)) => {
                let at = Sequence::at(&number, 0)?;
                Some(Landed::Written { shard, at })
            }
            (None, ..) => None,
            (Some("ProvisionedThroughputExceededException"), ..) => Some(Landed::Throttled),
            (Some(_), ..) => Some(Landed::Failed),
        }
    });
    match landed.collect() {
        Some(landed) => Answer::Records(landed),
        None => Answer::Lost(error::incomplete("submit", "place of a record")),
    }
}

fn refused(core: &Core, error: SdkError<PutRecordsError>) -> Answer {
    let unsent = error::is_unsent(&error);
    let answered = matches!(error, SdkError::ServiceError(_));
    let server_failed = error
        .raw_response()
        .is_some_and(|raw| raw.status().as_u16() >= 500);
    let error = failed("submit", core.stream.topic(), error);
    match error.kind() {
        ErrorKind::Throttled => Answer::Unwritten(error),
        // There is no way to credentials or a region: it never left.
        ErrorKind::Denied | ErrorKind::Config if !answered => Answer::Refused(error),
        _ if unsent => Answer::Unwritten(error),
        ErrorKind::Timeout | ErrorKind::Unavailable => Answer::Lost(error),
        _ if server_failed || !answered => Answer::Lost(error),
        _ => Answer::Refused(error),
    }
}
