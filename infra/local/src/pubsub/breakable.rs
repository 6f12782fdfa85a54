//! A body that breaks: over HTTP/2 the stream is reset, over HTTP/1.1 the connection is cut.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::Status;

/// A body, until `reset` is set.
pub(super) struct Breakable {
    body: tonic::body::Body,
    reset: Arc<AtomicBool>,
}

impl Breakable {
    pub(super) fn new(body: tonic::body::Body, reset: Arc<AtomicBool>) -> Self {
        Breakable { body, reset }
    }
}

/// One that breaks at once.
pub(super) fn broken() -> tonic::body::Body {
    let reset = Arc::new(AtomicBool::new(true));
    tonic::body::Body::new(Breakable::new(tonic::body::Body::empty(), reset))
}

impl Body for Breakable {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = match self.reset.load(Ordering::Acquire) {
            true => Poll::Ready(None),
            false => Pin::new(&mut self.body).poll_frame(context),
        };
        match self.reset.load(Ordering::Acquire) {
            true => Poll::Ready(Some(Err(Status::from_error(Box::new(io::Error::other(
                "reset, by injection",
            )))))),
            false => polled,
        }
    }

    /// A refusal has nothing but a head, which has to say so.
    fn is_end_stream(&self) -> bool {
        !self.reset.load(Ordering::Acquire) && self.body.is_end_stream()
    }
}
