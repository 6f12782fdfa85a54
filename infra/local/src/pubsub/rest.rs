//! The API over JSON, as Google's proxies transcode it: administration as the Rust client asks for it, and publishing, pulling
//! and acknowledging too.

mod fields;
mod read;
mod write;

use std::sync::Arc;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tonic::body::Body;
use tonic::{Code, Status};

use super::admin::{snapshots, subscriptions, topics};
use super::breakable::broken;
use super::call::{Outcome, call};
use super::service::Service;
use super::{publish, subscribe};
use fields::Fields;

/// More than any request may have, in base64, so that too large ones are refused for what they are.
const LARGEST: usize = 64 * 1024 * 1024;

/// A request, taken apart.
struct Asked {
    method: Method,
    /// `projects/p/topics/t`
    name: String,
    /// What stands after the last colon, if that is not within the name.
    verb: Option<String>,
    query: Vec<(String, String)>,
    body: Map<String, Value>,
}

/// Answers a request.
pub(super) async fn serve(service: Arc<Service>, request: Request<Incoming>) -> Response<Body> {
    let answer = match read(request).await {
        Ok(asked) => answer(&service, asked).await,
        Err(refused) => Outcome::Answer(Err(refused)),
    };
    match answer {
        Outcome::Answer(Ok(value)) => json_response(StatusCode::OK, &value),
        Outcome::Answer(Err(refused)) => {
            let (status, value) = refusal(&refused);
            json_response(status, &value)
        }
        Outcome::Lost => Response::new(broken()),
    }
}

async fn read(request: Request<Incoming>) -> Result<Asked, Status> {
    let (parts, body) = request.into_parts();
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    let unknown = || Status::not_found(format!("The local Pub/Sub has nothing at {path}."));
    let name = path.strip_prefix("/v1/").ok_or_else(unknown)?;
    let (name, verb) = match name.rsplit_once(':') {
        // A project may have a colon of its own: example.com:project.
        Some((name, verb)) if !verb.contains('/') => (name, Some(verb.to_owned())),
        _ => (name, None),
    };
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let query = parts.uri.query().unwrap_or_default();
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (decoded(name), decoded(value)));
    let query = query.collect();
    let body = Limited::new(body, LARGEST).collect().await.map_err(|_| {
        Status::invalid_argument(format!(
            "Request payload size exceeds the limit: {LARGEST} bytes."
        ))
    })?;
    let body = body.to_bytes();
    let body = match body.is_empty() {
        true => Map::new(),
        false => serde_json::from_slice(&body).map_err(|e| {
            Status::invalid_argument(format!("Invalid JSON payload received: {e}."))
        })?,
    };
    Ok(Asked {
        method: parts.method,
        name: name.to_owned(),
        verb,
        query,
        body,
    })
}

impl Asked {
    fn query(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn page(&self) -> Result<(i32, String), Status> {
        let size = match self.query("pageSize") {
            "" => 0,
            text => text.parse().map_err(|_| {
                Status::invalid_argument(format!("Invalid value at 'page_size': {text:?}."))
            })?,
        };
        Ok((size, self.query("pageToken").to_owned()))
    }
}

/// Does what is asked for, by the method, the kind of the name, and the verb.
async fn answer(service: &Arc<Service>, mut asked: Asked) -> Outcome<Value> {
    let numbers = asked.query("$alt").contains("enum-encoding=int");
    let body = Fields::new(std::mem::take(&mut asked.body));
    let parts: Vec<&str> = asked.name.split('/').collect();
    let (name, verb) = (asked.name.clone(), asked.verb.as_deref());
    match (asked.method.as_str(), parts.as_slice(), verb) {
        ("PUT", ["projects", _, "topics", _], None) => {
            let topic = read::topic(body).map(|topic| v1::Topic { name, ..topic });
            let made = run(service, "CreateTopic", topic, topics::create).await;
            made.map(|topic| write::topic(&topic, numbers))
        }
        ("GET", ["projects", _, "topics", _], None) => {
            let request = Ok(v1::GetTopicRequest { topic: name });
            let got = run(service, "GetTopic", request, topics::get).await;
            got.map(|topic| write::topic(&topic, numbers))
        }
        ("PATCH", ["projects", _, "topics", _], None) => {
            let request = read::update_topic(name, body);
            let updated = run(service, "UpdateTopic", request, topics::update).await;
            updated.map(|topic| write::topic(&topic, numbers))
        }
        ("DELETE", ["projects", _, "topics", _], None) => {
            let request = Ok(v1::DeleteTopicRequest { topic: name });
            let deleted = run(service, "DeleteTopic", request, topics::delete).await;
            deleted.map(|()| json!({}))
        }
        ("POST", ["projects", _, "topics", _], Some("publish")) => {
            let request = read::publish(name, body);
            let count = request.as_ref().map_or(0, |r| r.messages.len());
            let done = run_about(service, "Publish", count, request, publish::publish).await;
            done.map(|answer| json!({ "messageIds": answer.message_ids }))
        }
        ("GET", ["projects", _, "topics"], None) => {
            let request = asked
                .page()
                .map(|(page_size, page_token)| v1::ListTopicsRequest {
                    project: parent(&name),
                    page_size,
                    page_token,
                });
            let listed = run(service, "ListTopics", request, topics::list).await;
            listed.map(|list| {
                let topics = list.topics.iter().map(|topic| write::topic(topic, numbers));
                write::list("topics", topics, list.next_page_token)
            })
        }
        ("GET", ["projects", _, "topics", _, "subscriptions"], None) => {
            let request = asked.page();
            let request =
                request.map(
                    |(page_size, page_token)| v1::ListTopicSubscriptionsRequest {
                        topic: parent(&name),
                        page_size,
                        page_token,
                    },
                );
            let list = topics::list_subscriptions;
            let listed = run(service, "ListTopicSubscriptions", request, list).await;
            listed.map(|list| {
                let names = list.subscriptions.into_iter().map(Value::from);
                write::list("subscriptions", names, list.next_page_token)
            })
        }
        ("GET", ["projects", _, "topics", _, "snapshots"], None) => {
            let request = asked.page();
            let request = request.map(|(page_size, page_token)| v1::ListTopicSnapshotsRequest {
                topic: parent(&name),
                page_size,
                page_token,
            });
            let list = topics::list_snapshots;
            let listed = run(service, "ListTopicSnapshots", request, list).await;
            listed.map(|list| {
                let names = list.snapshots.into_iter().map(Value::from);
                write::list("snapshots", names, list.next_page_token)
            })
        }
        (_, ["projects", _, "subscriptions", ..], _) => {
            on_subscriptions(service, &asked, body, numbers).await
        }
        (_, ["projects", _, "snapshots", ..], _) => on_snapshots(service, &asked, body).await,
        _ => unknown(&asked),
    }
}

async fn on_subscriptions(
    service: &Arc<Service>,
    asked: &Asked,
    body: Fields,
    numbers: bool,
) -> Outcome<Value> {
    let name = asked.name.clone();
    let one = name.split('/').count() == 4;
    match (asked.method.as_str(), one, asked.verb.as_deref()) {
        ("PUT", true, None) => {
            let config = read::subscription(body);
            let config = config.map(|config| v1::Subscription { name, ..config });
            let made = run(service, "CreateSubscription", config, subscriptions::create).await;
            made.map(|config| write::subscription(&config, numbers))
        }
        ("GET", true, None) => {
            let request = Ok(v1::GetSubscriptionRequest { subscription: name });
            let got = run(service, "GetSubscription", request, subscriptions::get).await;
            got.map(|config| write::subscription(&config, numbers))
        }
        ("PATCH", true, None) => {
            let request = read::update_subscription(name, body);
            let update = subscriptions::update;
            let updated = run(service, "UpdateSubscription", request, update).await;
            updated.map(|config| write::subscription(&config, numbers))
        }
        ("DELETE", true, None) => {
            let request = Ok(v1::DeleteSubscriptionRequest { subscription: name });
            let delete = subscriptions::delete;
            let deleted = run(service, "DeleteSubscription", request, delete).await;
            deleted.map(|()| json!({}))
        }
        ("POST", true, Some("detach")) => {
            let request = Ok(v1::DetachSubscriptionRequest { subscription: name });
            let detach = subscriptions::detach;
            let detached = run(service, "DetachSubscription", request, detach).await;
            detached.map(|_| json!({}))
        }
        ("POST", true, Some("seek")) => {
            let request = read::seek(name, body);
            let sought = run(service, "Seek", request, snapshots::seek).await;
            sought.map(|_| json!({}))
        }
        ("POST", true, Some("pull")) => {
            let request = read::pull(name, body);
            let pull = async { subscribe::pull(Arc::clone(service), request?).await };
            let pulled = call(service, "Pull", 0, pull).await;
            pulled.map(|pulled| write::pulled(&pulled))
        }
        ("POST", true, Some("acknowledge")) => {
            let request = read::acknowledge(name, body);
            let count = request.as_ref().map_or(0, |r| r.ack_ids.len());
            let ack = subscribe::acknowledge;
            let acked = run_about(service, "Acknowledge", count, request, ack).await;
            acked.map(|()| json!({}))
        }
        ("POST", true, Some("modifyAckDeadline")) => {
            let request = read::modify_ack_deadline(name, body);
            let count = request.as_ref().map_or(0, |r| r.ack_ids.len());
            let modify = subscribe::modify_ack_deadline;
            let modified = run_about(service, "ModifyAckDeadline", count, request, modify).await;
            modified.map(|()| json!({}))
        }
        ("GET", false, None) => {
            let request = asked.page();
            let request = request.map(|(page_size, page_token)| v1::ListSubscriptionsRequest {
                project: parent(&name),
                page_size,
                page_token,
            });
            let listed = run(service, "ListSubscriptions", request, subscriptions::list).await;
            listed.map(|list| {
                let all = list.subscriptions.iter();
                let all = all.map(|config| write::subscription(config, numbers));
                write::list("subscriptions", all, list.next_page_token)
            })
        }
        _ => unknown(asked),
    }
}

async fn on_snapshots(service: &Arc<Service>, asked: &Asked, body: Fields) -> Outcome<Value> {
    let name = asked.name.clone();
    let one = name.split('/').count() == 4;
    match (asked.method.as_str(), one, asked.verb.as_deref()) {
        ("PUT", true, None) => {
            let request = read::create_snapshot(name, body);
            let made = run(service, "CreateSnapshot", request, snapshots::create).await;
            made.map(|snapshot| write::snapshot(&snapshot))
        }
        ("GET", true, None) => {
            let request = Ok(v1::GetSnapshotRequest { snapshot: name });
            let got = run(service, "GetSnapshot", request, snapshots::get).await;
            got.map(|snapshot| write::snapshot(&snapshot))
        }
        ("PATCH", true, None) => {
            let request = read::update_snapshot(name, body);
            let updated = run(service, "UpdateSnapshot", request, snapshots::update).await;
            updated.map(|snapshot| write::snapshot(&snapshot))
        }
        ("DELETE", true, None) => {
            let request = Ok(v1::DeleteSnapshotRequest { snapshot: name });
            let deleted = run(service, "DeleteSnapshot", request, snapshots::delete).await;
            deleted.map(|()| json!({}))
        }
        ("GET", false, None) => {
            let request = asked.page();
            let request = request.map(|(page_size, page_token)| v1::ListSnapshotsRequest {
                project: parent(&name),
                page_size,
                page_token,
            });
            let listed = run(service, "ListSnapshots", request, snapshots::list).await;
            listed.map(|list| {
                let all = list.snapshots.iter().map(write::snapshot);
                write::list("snapshots", all, list.next_page_token)
            })
        }
        _ => unknown(asked),
    }
}

fn unknown(asked: &Asked) -> Outcome<Value> {
    let verb = asked
        .verb
        .as_deref()
        .map_or(String::new(), |v| format!(":{v}"));
    Outcome::Answer(Err(Status::not_found(format!(
        "The local Pub/Sub has nothing at {} /v1/{}{verb}.",
        asked.method, asked.name
    ))))
}

/// `projects/p` of `projects/p/topics`.
fn parent(name: &str) -> String {
    name.rsplit_once('/')
        .map_or(name, |(parent, _)| parent)
        .to_owned()
}

async fn run<Q, A>(
    service: &Arc<Service>,
    method: &'static str,
    request: Result<Q, Status>,
    work: fn(&Service, Q) -> Result<A, Status>,
) -> Outcome<A> {
    run_about(service, method, 0, request, work).await
}

async fn run_about<Q, A>(
    service: &Arc<Service>,
    method: &'static str,
    in_flight: usize,
    request: Result<Q, Status>,
    work: fn(&Service, Q) -> Result<A, Status>,
) -> Outcome<A> {
    call(service, method, in_flight, async {
        work(service, request?)
    })
    .await
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(value.to_string())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An error as Google's proxies have it. Source: google/rpc/code.proto (2026-11).
fn refusal(status: &Status) -> (StatusCode, Value) {
    let (http, name) = match status.code() {
        Code::InvalidArgument => (400, "INVALID_ARGUMENT"),
        Code::FailedPrecondition => (400, "FAILED_PRECONDITION"),
        Code::NotFound => (404, "NOT_FOUND"),
        Code::AlreadyExists => (409, "ALREADY_EXISTS"),
        Code::ResourceExhausted => (429, "RESOURCE_EXHAUSTED"),
        Code::Unimplemented => (501, "UNIMPLEMENTED"),
        Code::Unavailable => (503, "UNAVAILABLE"),
        _ => (500, "INTERNAL"),
    };
    let error = json!({ "code": http, "message": status.message(), "status": name });
    let mut error = json!({ "error": error });
    if let Some(details) = write::details(status) {
        error["error"]["details"] = details;
    }
    (
        StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        error,
    )
}
