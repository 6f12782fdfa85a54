//! Answers of our own, in the form of Kinesis's JSON protocol (AWS JSON 1.1).

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

pub(super) const JSON: &str = "application/x-amz-json-1.1";

/// An error as Kinesis has it; the SDKs take its type from the header or from `__type`.
pub(super) fn error(status: StatusCode, kind: &'static str, message: &str) -> Response<Body> {
    let body = json!({ "__type": kind, "message": message }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
    headers.insert(
        "x-amzn-requestid",
        HeaderValue::from_static("00000000-0000-0000-0000-000000000000"),
    );
    response
}

pub(super) fn refused(kind: &'static str, message: &str) -> Response<Body> {
    error(StatusCode::BAD_REQUEST, kind, message)
}

/// A status of 200 and nothing else, as for CreateStream.
pub(super) fn empty() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

pub(super) fn ok(value: &Value) -> Response<Body> {
    let mut response = empty();
    *response.body_mut() = Body::from(value.to_string());
    response
}

/// True if the body is in CBOR, which we carry but don't read.
pub(super) fn is_cbor(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-amz-cbor"))
}

/// An answer whose body is there as a whole. Not for SubscribeToShard, which streams.
pub(super) struct Whole {
    pub(super) response: Response<()>,
    pub(super) body: Bytes,
}

impl Whole {
    pub(super) async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        // ferrokinesis's answers are in memory already: nothing is read, and nothing fails.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Whole {
            response: Response::from_parts(parts, ()),
            body,
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.response.status() == StatusCode::OK
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(super) fn set(&mut self, body: Vec<u8>) {
        self.response.headers_mut().remove(header::CONTENT_LENGTH);
        self.body = body.into();
    }
}

impl From<Whole> for Response<Body> {
    fn from(whole: Whole) -> Self {
        let (parts, ()) = whole.response.into_parts();
        Response::from_parts(parts, Body::from(whole.body))
    }
}
