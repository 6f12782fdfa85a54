//! What stands between the clients and ferrokinesis: counts, faults, read limits, and an order of puts that readers can rely on.
//!
//! ferrokinesis 0.7 gives a record its sequence number before it stores the record, and takes no lock over both. So with puts
//! side by side a reader may pass a record that isn't stored yet, and never see it; a shard may close over one; and as a read
//! keeps a lock across a wait, on which a put blocks its thread, the server may stop for good. Here puts run one at a time, reads
//! beside each other but not beside a put, and a reshard alone. Subscriptions go on beside puts: these come in order, which is
//! all they need, and there are threads enough for a blocked one.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, request};
use ferrokinesis::actions::Operation;
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::Store;
use ferrokinesis::types::{StreamMode, StreamModeDetails};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::answer::{self, Whole};
use super::counts::Counters;
use super::faults::Dice;
use super::limits::ReadLimits;
use super::parity::Place;
use super::retention::{self, Retention};
use super::{parity, partial, reshard, subscribe};

/// 5 MiB of data, the most that ferrokinesis takes, are 7 MiB in base64; to these come 500 keys, escaped at worst.
const LARGEST_REQUEST: usize = 16 * 1024 * 1024;

const CBOR: &str = "this local Kinesis reads JSON only where limits or failing records are on: turn CBOR off in the client \
    (AWS_CBOR_DISABLE=true, or the system property aws.cborEnabled=false)";

/// What becomes of a request.
pub(super) enum Outcome {
    Answer(Response<Body>),
    /// No answer: the connection is to be cut.
    Cut,
}

/// The layer; one for a server.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) dice: Dice,
    pub(super) counters: Counters,
    limits: Option<ReadLimits>,
    pub(super) retention: Retention,
    store: Backing,
    order: RwLock<()>,
}

/// ferrokinesis's store, which has no Debug of its own.
struct Backing(Store);

impl std::fmt::Debug for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// A request, read to its end.
#[derive(Clone)]
struct Call {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn new(parts: request::Parts, body: Bytes) -> Self {
        Call {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
        }
    }

    fn is_cbor(&self) -> bool {
        answer::is_cbor(&self.headers)
    }

    /// The request, if it is an object in JSON; what isn't, ferrokinesis refuses.
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body)
            .ok()
            .filter(Value::is_object)
    }

    fn with(mut self, request: &Value) -> Self {
        self.body = request.to_string().into();
        self
    }
}

impl Layer {
    pub(super) fn new(store: Store, limits: bool, retention: Retention, dice: Dice) -> Self {
        Layer {
            dice,
            counters: Counters::default(),
            limits: limits.then(ReadLimits::default),
            retention,
            store: Backing(store),
            order: RwLock::new(()),
        }
    }

    /// Carries a request out, unless a fault or a limit is in the way.
    pub(super) async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        let (parts, body) = request.into_parts();
        let operation = operation(&parts.headers);
        let name = operation.map_or("unknown", Operation::as_str);
        self.counters.request(name);
        let Ok(body) = Limited::new(body, LARGEST_REQUEST).collect().await else {
            return Outcome::Answer(answer::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "SerializationException",
                "Request body is too large",
            ));
        };
        let call = Call::new(parts, body.to_bytes());
        if self.dice.fails_with_500(name) {
            self.counters.add(|counts| counts.server_errors += 1);
            return Outcome::Answer(answer::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "by injection",
            ));
        }
        let delay = self.dice.slows(name);
        // In a task of its own: a client that hangs up leaves no half-written batch behind.
        let layer = Arc::clone(&self);
        let done = tokio::spawn(async move { layer.carry_out(operation, call).await }).await;
        let Ok(outcome) = done else {
            // ferrokinesis panicked.
            return Outcome::Answer(answer::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "a bug in the local Kinesis",
            ));
        };
        if let Some(delay) = delay {
            self.counters.add(|counts| counts.slow_answers += 1);
            tokio::time::sleep(delay).await;
        }
        outcome
    }

    /// Deletes what is past retention, for ever.
    pub(super) async fn trim(&self) {
        loop {
            self.retention.due().await;
            let _alone = self.order.write().await;
            self.retention.trim(&self.store.0).await;
        }
    }

    /// The refusal of a read from a shard that is past retention as a whole.
    async fn refused_as_over(&self, place: &Place) -> Option<Response<Body>> {
        let store = &self.store.0;
        self.retention.is_over(store, place).await.then(|| {
            let error = KinesisErrorResponse::shard_not_found(
                &place.shard,
                &place.stream,
                &store.aws_account_id,
            );
            of_error(&error)
        })
    }

    async fn carry_out(&self, operation: Option<Operation>, call: Call) -> Outcome {
        match operation {
            Some(Operation::PutRecords | Operation::PutRecord) => self.put(operation, call).await,
            Some(Operation::GetRecords) => Outcome::Answer(self.read(call).await),
            Some(operation) if !call.is_cbor() => {
                Outcome::Answer(self.manage(operation, call).await)
            }
            _ => {
                let _alone = self.order.write().await;
                Outcome::Answer(self.forward(call).await)
            }
        }
    }

    async fn put(&self, operation: Option<Operation>, call: Call) -> Outcome {
        let partial = operation == Some(Operation::PutRecords) && self.dice.may_fail_records();
        if partial && call.is_cbor() {
            return Outcome::Answer(answer::refused("SerializationException", CBOR));
        }
        let answer = if partial {
            self.put_partly(call).await
        } else {
            self.put_all(call).await
        };
        if !answer.is_ok() {
            return Outcome::Answer(answer.into());
        }
        let written = parity::records_written(&answer.body);
        let lost = self.dice.loses_answer();
        self.counters.add(|counts| {
            counts.records_put += written;
            if lost {
                counts.lost_answers.push(written);
            }
        });
        if lost {
            Outcome::Cut
        } else {
            Outcome::Answer(answer.into())
        }
    }

    async fn put_all(&self, call: Call) -> Whole {
        let _alone = self.order.write().await;
        Whole::of(self.forward(call).await).await
    }

    async fn put_partly(&self, call: Call) -> Whole {
        let Some(mut request) = call.json() else {
            return self.put_all(call).await;
        };
        let records = request["Records"].as_array().map_or(0, Vec::len);
        // A request that would be refused as a whole has to be, whichever of its records would fail.
        let names_a_stream = match self.store.0.resolve_stream_name(&request) {
            Ok(name) => self.store.0.contains_stream(&name).await,
            Err(_) => false,
        };
        if !names_a_stream || !(1..=500).contains(&records) {
            return self.put_all(call).await;
        }
        let fails = self.dice.failing_records(records);
        let failed = fails.iter().flatten().count();
        partial::survivors(&mut request, &fails);
        let mut answer = if failed < records {
            self.put_all(call.with(&request)).await
        } else {
            Whole::of(answer::ok(&json!({}))).await
        };
        if let (true, Some(mut value)) = (answer.is_ok(), answer.json()) {
            partial::merge(&mut value, &fails);
            answer.set(value.to_string().into_bytes());
            self.counters
                .add(|counts| counts.records_failed += failed as u64);
        }
        answer
    }

    async fn read(&self, call: Call) -> Response<Body> {
        if self.dice.expires_iterator() {
            self.counters.add(|counts| counts.expired_iterators += 1);
            return answer::refused("ExpiredIteratorException", "Iterator expired, by injection");
        }
        if call.is_cbor() {
            if self.limits.is_some() {
                return answer::refused("SerializationException", CBOR);
            }
            let _no_put = self.order.read().await;
            return self.forward(call).await;
        }
        let Some(mut request) = call.json() else {
            return self.forward(call).await;
        };
        let place = parity::place(&request);
        if let Some(place) = &place
            && let Some(refusal) = self.refused_as_over(place).await
        {
            return refusal;
        }
        let limited = self.limits.as_ref().zip(place);
        if let Some((limits, place)) = &limited
            && !limits.admit(&place.stream, &place.shard, Instant::now())
        {
            self.counters.add(|counts| counts.throttled_reads += 1);
            return answer::refused(
                "ProvisionedThroughputExceededException",
                &format!(
                    "Rate exceeded for shard {} in stream {} under account {}.",
                    place.shard, place.stream, self.store.0.aws_account_id
                ),
            );
        }
        let _no_put = self.order.read().await;
        let mut answer = Whole::of(self.forward(call.clone()).await).await;
        if !answer.is_ok() {
            return answer.into();
        }
        let fit = parity::records_that_fit(&answer);
        if let Some(fit) = fit {
            request["Limit"] = json!(fit);
            answer = Whole::of(self.forward(call.with(&request)).await).await;
        }
        if let Some((limits, place)) = &limited {
            let bytes = parity::bytes_read(&answer);
            limits.took(
                &place.stream,
                &place.shard,
                bytes,
                fit.is_some(),
                Instant::now(),
            );
        }
        parity::complete(&self.store.0, &request, &mut answer).await;
        answer.into()
    }

    /// Everything that is neither a put nor a GetRecords.
    async fn manage(&self, operation: Operation, call: Call) -> Response<Body> {
        let Some(mut request) = call.json() else {
            return self.forward(call).await;
        };
        let store = &self.store.0;
        if let Err((kind, message)) =
            parity::name_stream(operation, &mut request, &store.aws_account_id)
        {
            return answer::refused(kind, &message);
        }
        let stream = request["StreamName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(place) = retention::place(operation, &request) {
            if let Some(refusal) = self.refused_as_over(&place).await {
                return refusal;
            }
            if operation == Operation::SubscribeToShard {
                return self.subscribe(place, &request, call).await;
            }
        }
        match operation {
            Operation::UpdateShardCount => {
                let _alone = self.order.write().await;
                let target = request["TargetShardCount"].as_u64();
                let target = target
                    .and_then(|target| u32::try_from(target).ok())
                    .filter(|target| *target > 0);
                match target {
                    // Missing or no number: ferrokinesis says so.
                    None => self.forward(call.with(&request)).await,
                    Some(target) => match reshard::update_shard_count(store, &stream, target).await
                    {
                        Ok(value) => answer::ok(&value),
                        Err(error) => of_error(&error),
                    },
                }
            }
            Operation::SplitShard | Operation::MergeShards => {
                let _alone = self.order.write().await;
                let answer = self.forward(call.with(&request)).await;
                if answer.status() == StatusCode::OK {
                    // An error here says that the stream is gone; the client will see that for itself.
                    let _ = reshard::settle(store, &stream).await;
                }
                answer
            }
            Operation::CreateStream => self.create(&stream, request, call).await,
            Operation::GetShardIterator => {
                let _no_put = self.order.read().await;
                parity::start_at_time(store, &mut request).await;
                self.forward(call.with(&request)).await
            }
            _ => {
                let _no_put = self.order.read().await;
                let answer = self.forward(call.with(&request)).await;
                if store.options.create_stream_ms > 0 {
                    // What the answer calls ACTIVE has to be.
                    reshard::finish(store, &stream).await;
                }
                if !retention::lists_shards(operation) || answer.status() != StatusCode::OK {
                    return answer;
                }
                let mut answer = Whole::of(answer).await;
                self.retention.unlist(store, &stream, &mut answer).await;
                answer.into()
            }
        }
    }

    async fn subscribe(&self, place: Place, request: &Value, call: Call) -> Response<Body> {
        let _no_put = self.order.read().await;
        let allowed = self.forward(call.clone()).await;
        if allowed.status() != StatusCode::OK {
            return allowed;
        }
        let store = &self.store.0;
        let mut asked = subscribe::iterator_request(&place, request);
        parity::start_at_time(store, &mut asked).await;
        let mut asking = call.with(&asked);
        let target = HeaderValue::from_static("Kinesis_20131202.GetShardIterator");
        asking.headers.insert("x-amz-target", target);
        let answer = Whole::of(self.forward(asking).await).await;
        let time = Duration::from_millis(store.options.subscribe_to_shard_session_ms);
        let number = parity::iterator_stands(&answer);
        let events = number.and_then(|number| subscribe::answer(store, place, number, time));
        // Without a number: it says why not.
        events.unwrap_or_else(|| answer.into())
    }

    async fn create(&self, stream: &str, mut request: Value, call: Call) -> Response<Body> {
        let on_demand = parity::is_on_demand(&mut request);
        let _alone = self.order.write().await;
        let answer = self.forward(call.with(&request)).await;
        if answer.status() != StatusCode::OK {
            return answer;
        }
        let store = &self.store.0;
        if on_demand {
            let mode = StreamModeDetails {
                stream_mode: StreamMode::OnDemand,
            };
            let set = store.update_stream(stream, |stream| {
                stream.stream_mode_details = mode;
                Ok(())
            });
            if let Err(error) = set.await {
                return of_error(&error);
            }
        }
        if store.options.create_stream_ms == 0
            && let Err(error) = reshard::settle(store, stream).await
        {
            return of_error(&error);
        }
        answer
    }

    async fn forward(&self, call: Call) -> Response<Body> {
        let store = State(self.store.0.clone());
        ferrokinesis::server::handler(
            call.method,
            call.uri,
            call.headers,
            store,
            (),
            (),
            call.body,
        )
        .await
    }
}

fn operation(headers: &HeaderMap) -> Option<Operation> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    Operation::from_str(target.strip_prefix("Kinesis_20131202.")?).ok()
}

fn of_error(error: &KinesisErrorResponse) -> Response<Body> {
    const KINDS: [&str; 4] = [
        "InvalidArgumentException",
        "LimitExceededException",
        "ResourceInUseException",
        "ResourceNotFoundException",
    ];
    let kind = KINDS
        .into_iter()
        .find(|kind| *kind == error.body.error_type);
    let message = error.body.message.as_deref().unwrap_or_default();
    let status =
        StatusCode::from_u16(error.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer::error(status, kind.unwrap_or("InternalFailure"), message)
}
