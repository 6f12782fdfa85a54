//! The API over gRPC.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::Stream;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PublishRequest, PullRequest, StreamingPullRequest,
};
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::admin::{snapshots, subscriptions, topics};
use super::breakable::{Breakable, broken};
use super::call::{Outcome, call};
use super::service::Service;
use super::wire::StreamingPullResponse;
use super::{publish, stream, subscribe};

/// More than any request may have, so that too large ones are refused for what they are.
const LARGEST: usize = 64 * 1024 * 1024;

/// Answers a request.
pub(super) async fn serve(service: Arc<Service>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let unary = Unary { service, request };
    let Some(method) = path.strip_prefix("/google.pubsub.v1.") else {
        return unknown(&path);
    };
    match method {
        "Publisher/Publish" => {
            let messages = |r: &PublishRequest| r.messages.len();
            unary.about("Publish", messages, publish::publish).await
        }
        "Subscriber/StreamingPull" => unary.streaming_pull().await,
        "Subscriber/Pull" => {
            let pull = |service, request: PullRequest| subscribe::pull(service, request);
            unary.waiting("Pull", |_| 0, pull).await
        }
        "Subscriber/Acknowledge" => {
            let ids = |r: &AcknowledgeRequest| r.ack_ids.len();
            unary
                .about("Acknowledge", ids, subscribe::acknowledge)
                .await
        }
        "Subscriber/ModifyAckDeadline" => {
            let ids = |r: &ModifyAckDeadlineRequest| r.ack_ids.len();
            let modify = subscribe::modify_ack_deadline;
            unary.about("ModifyAckDeadline", ids, modify).await
        }
        "Subscriber/Seek" => unary.of("Seek", snapshots::seek).await,
        "Publisher/CreateTopic" => unary.of("CreateTopic", topics::create).await,
        "Publisher/GetTopic" => unary.of("GetTopic", topics::get).await,
        "Publisher/UpdateTopic" => unary.of("UpdateTopic", topics::update).await,
        "Publisher/DeleteTopic" => unary.of("DeleteTopic", topics::delete).await,
        "Publisher/ListTopics" => unary.of("ListTopics", topics::list).await,
        "Publisher/ListTopicSubscriptions" => {
            let list = topics::list_subscriptions;
            unary.of("ListTopicSubscriptions", list).await
        }
        "Publisher/ListTopicSnapshots" => {
            unary.of("ListTopicSnapshots", topics::list_snapshots).await
        }
        "Publisher/DetachSubscription" => {
            unary.of("DetachSubscription", subscriptions::detach).await
        }
        "Subscriber/CreateSubscription" => {
            unary.of("CreateSubscription", subscriptions::create).await
        }
        "Subscriber/GetSubscription" => unary.of("GetSubscription", subscriptions::get).await,
        "Subscriber/UpdateSubscription" => {
            unary.of("UpdateSubscription", subscriptions::update).await
        }
        "Subscriber/DeleteSubscription" => {
            unary.of("DeleteSubscription", subscriptions::delete).await
        }
        "Subscriber/ListSubscriptions" => unary.of("ListSubscriptions", subscriptions::list).await,
        "Subscriber/CreateSnapshot" => unary.of("CreateSnapshot", snapshots::create).await,
        "Subscriber/GetSnapshot" => unary.of("GetSnapshot", snapshots::get).await,
        "Subscriber/UpdateSnapshot" => unary.of("UpdateSnapshot", snapshots::update).await,
        "Subscriber/DeleteSnapshot" => unary.of("DeleteSnapshot", snapshots::delete).await,
        "Subscriber/ListSnapshots" => unary.of("ListSnapshots", snapshots::list).await,
        _ => unknown(&path),
    }
}

fn unknown(path: &str) -> Response<Body> {
    Status::unimplemented(format!("The local Pub/Sub has no method {path}.")).into_http()
}

fn server<Q, A>() -> Grpc<ProstCodec<A, Q>>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(LARGEST)
}

/// A request that is to be answered.
struct Unary {
    service: Arc<Service>,
    request: Request<Incoming>,
}

impl Unary {
    /// By what is done at once, and is about no message.
    async fn of<Q, A>(
        self,
        method: &'static str,
        work: fn(&Service, Q) -> Result<A, Status>,
    ) -> Response<Body>
    where
        Q: Message + Default + Send + 'static,
        A: Message + Default + Send + 'static,
    {
        self.about(method, |_| 0, work).await
    }

    /// By what is done at once.
    async fn about<Q, A>(
        self,
        method: &'static str,
        in_flight: fn(&Q) -> usize,
        work: fn(&Service, Q) -> Result<A, Status>,
    ) -> Response<Body>
    where
        Q: Message + Default + Send + 'static,
        A: Message + Default + Send + 'static,
    {
        let work = move |service: Arc<Service>, request| ready(work(&service, request));
        self.waiting(method, in_flight, work).await
    }

    async fn waiting<Q, A, F>(
        self,
        method: &'static str,
        in_flight: fn(&Q) -> usize,
        work: impl Fn(Arc<Service>, Q) -> F,
    ) -> Response<Body>
    where
        Q: Message + Default + Send + 'static,
        A: Message + Default + Send + 'static,
        F: Future<Output = Result<A, Status>>,
    {
        let lost = AtomicBool::new(false);
        let handler = Handler(|request: tonic::Request<Q>| {
            let request = request.into_inner();
            let (service, lost, work) = (Arc::clone(&self.service), &lost, &work);
            async move {
                let count = in_flight(&request);
                // Not begun before it is known whether a fault is in the way.
                let work = async { work(Arc::clone(&service), request).await };
                match call(&service, method, count, work).await {
                    Outcome::Answer(answer) => answer.map(tonic::Response::new),
                    Outcome::Lost => {
                        lost.store(true, Ordering::Relaxed);
                        Err(Status::unavailable("lost, by injection"))
                    }
                }
            }
        });
        let response = server::<Q, A>().unary(handler, self.request).await;
        match lost.into_inner() {
            true => without_an_answer(),
            false => response,
        }
    }

    async fn streaming_pull(self) -> Response<Body> {
        let reset = Arc::new(AtomicBool::new(false));
        let service = &self.service;
        let handler = Handler(|request: tonic::Request<Streaming<StreamingPullRequest>>| {
            let (service, reset) = (Arc::clone(service), Arc::clone(&reset));
            async move {
                let open = stream::open(Arc::clone(&service), request.into_inner(), reset);
                match call(&service, "StreamingPull", 0, open).await {
                    Outcome::Answer(opened) => {
                        opened.map(|stream| tonic::Response::new(Box::pin(stream)))
                    }
                    Outcome::Lost => Err(Status::internal("only publishes are lost")),
                }
            }
        });
        let mut server = server::<StreamingPullRequest, StreamingPullResponse>();
        let response = server.streaming(handler, self.request).await;
        response.map(|body| Body::new(Breakable::new(body, reset)))
    }
}

/// The head of an answer, whose stream is reset then.
fn without_an_answer() -> Response<Body> {
    let mut response = Response::new(broken());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// A function as tonic wants it.
struct Handler<F>(F);

impl<Q, A, F, R> UnaryService<Q> for Handler<F>
where
    F: FnMut(tonic::Request<Q>) -> R,
    R: Future<Output = Result<tonic::Response<A>, Status>>,
{
    type Response = A;
    type Future = R;

    fn call(&mut self, request: tonic::Request<Q>) -> R {
        (self.0)(request)
    }
}

impl<Q, A, S, F, R> StreamingService<Q> for Handler<F>
where
    F: FnMut(tonic::Request<Streaming<Q>>) -> R,
    R: Future<Output = Result<tonic::Response<S>, Status>>,
    S: Stream<Item = Result<A, Status>>,
{
    type Response = A;
    type ResponseStream = S;
    type Future = R;

    fn call(&mut self, request: tonic::Request<Streaming<Q>>) -> R {
        (self.0)(request)
    }
}
