//! Requests as they are on the wire, without what an SDK does by itself: gRPC, and JSON.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::publisher_client::PublisherClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::streaming_pull_response::SubscriptionProperties;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::subscriber_client::SubscriberClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PublishRequest, PubsubMessage, PullRequest,
    ReceivedMessage, StreamingPullRequest, StreamingPullResponse, Subscription, Topic,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::client::{DEADLINE, SUBSCRIPTION, TOPIC, until};

pub(crate) struct Raw {
    pub(crate) publisher: PublisherClient<Channel>,
    pub(crate) subscriber: SubscriberClient<Channel>,
}

/// What a message looks like here: its text.
pub(crate) fn text(received: &ReceivedMessage) -> String {
    String::from_utf8(received.message.as_ref().unwrap().data.to_vec()).unwrap()
}

pub(crate) fn texts(received: &[ReceivedMessage]) -> Vec<String> {
    received.iter().map(text).collect()
}

pub(crate) fn ids(received: &[ReceivedMessage]) -> Vec<String> {
    received.iter().map(|r| r.ack_id.clone()).collect()
}

pub(crate) fn message(key: &str, text: &str) -> PubsubMessage {
    PubsubMessage {
        data: text.as_bytes().to_vec().into(),
        ordering_key: key.into(),
        ..PubsubMessage::default()
    }
}

/// A connection to a server, which has nothing yet.
pub(crate) async fn connect(pubsub: &PubSub) -> Raw {
    over(Channel::from_shared(pubsub.endpoint()).unwrap()).await
}

/// One by which no more than so many bytes of an answer are under way.
pub(crate) async fn connect_narrow(pubsub: &PubSub, bytes: u32) -> Raw {
    let channel = Channel::from_shared(pubsub.endpoint()).unwrap();
    over(channel.initial_stream_window_size(bytes)).await
}

async fn over(channel: Endpoint) -> Raw {
    let channel = channel.connect().await.unwrap();
    let largest = 64 * 1024 * 1024;
    Raw {
        publisher: PublisherClient::new(channel.clone()).max_encoding_message_size(largest),
        subscriber: SubscriberClient::new(channel).max_decoding_message_size(largest),
    }
}

/// The same with the topic, and an ordered subscription to it as it is changed.
pub(crate) async fn begin(
    pubsub: &PubSub,
    change: impl FnOnce(Subscription) -> Subscription,
) -> Raw {
    let mut raw = connect(pubsub).await;
    raw.topic(TOPIC).await.unwrap();
    let config = change(Subscription {
        name: SUBSCRIPTION.into(),
        topic: TOPIC.into(),
        enable_message_ordering: true,
        ..Subscription::default()
    });
    raw.subscriber.create_subscription(config).await.unwrap();
    raw
}

impl Raw {
    pub(crate) async fn topic(&mut self, name: &str) -> Result<Topic, Status> {
        let topic = Topic {
            name: name.into(),
            ..Topic::default()
        };
        Ok(self.publisher.create_topic(topic).await?.into_inner())
    }

    pub(crate) async fn publish(
        &mut self,
        messages: Vec<PubsubMessage>,
    ) -> Result<Vec<String>, Status> {
        let request = PublishRequest {
            topic: TOPIC.into(),
            messages,
        };
        Ok(self
            .publisher
            .publish(request)
            .await?
            .into_inner()
            .message_ids)
    }

    /// Publishes texts with a key, in one request.
    pub(crate) async fn publish_texts(&mut self, key: &str, texts: &[&str]) {
        let messages = texts.iter().map(|text| message(key, text)).collect();
        self.publish(messages).await.unwrap();
    }

    /// What there is at once.
    pub(crate) async fn pull_now(&mut self) -> Result<Vec<ReceivedMessage>, Status> {
        self.pull_with(true).await
    }

    async fn pull_with(&mut self, at_once: bool) -> Result<Vec<ReceivedMessage>, Status> {
        #[allow(deprecated)] // clients still send it
        let request = PullRequest {
            subscription: SUBSCRIPTION.into(),
            return_immediately: at_once,
            max_messages: 1_000,
        };
        let pulled = self.subscriber.pull(request).await?;
        Ok(pulled.into_inner().received_messages)
    }

    /// What the first Pull gives that gives something.
    pub(crate) async fn pull(&mut self) -> Vec<ReceivedMessage> {
        let pulls = async {
            loop {
                let pulled = self.pull_with(false).await.unwrap();
                if !pulled.is_empty() {
                    return pulled;
                }
            }
        };
        tokio::time::timeout(DEADLINE, pulls).await.unwrap()
    }

    pub(crate) async fn ack(&mut self, ack_ids: Vec<String>) -> Result<(), Status> {
        let request = AcknowledgeRequest {
            subscription: SUBSCRIPTION.into(),
            ack_ids,
        };
        self.subscriber.acknowledge(request).await.map(|_| ())
    }

    /// Gives so many seconds; 0 is a nack.
    pub(crate) async fn modify(
        &mut self,
        ack_ids: Vec<String>,
        seconds: i32,
    ) -> Result<(), Status> {
        let request = ModifyAckDeadlineRequest {
            subscription: SUBSCRIPTION.into(),
            ack_ids,
            ack_deadline_seconds: seconds,
        };
        let modified = self.subscriber.modify_ack_deadline(request).await;
        modified.map(|_| ())
    }

    /// Opens a StreamingPull, which is answered when there is something to say.
    pub(crate) fn stream(&self, first: StreamingPullRequest) -> Stream {
        let (requests, sent) = mpsc::channel(16);
        requests.try_send(first).unwrap();
        let sent = futures_util::stream::unfold(sent, |mut sent| async move {
            Some((sent.recv().await?, sent))
        });
        let mut subscriber = self.subscriber.clone();
        let opening = async move {
            let opened = subscriber.streaming_pull(Request::new(sent)).await;
            opened.map(tonic::Response::into_inner)
        };
        Stream {
            requests,
            responses: Responses::Opening(tokio::spawn(opening)),
        }
    }
}

/// The first request of a stream.
pub(crate) fn first() -> StreamingPullRequest {
    StreamingPullRequest {
        subscription: SUBSCRIPTION.into(),
        stream_ack_deadline_seconds: 10,
        protocol_version: 1,
        ..StreamingPullRequest::default()
    }
}

/// What is answered to a sign of life, and goes with all that is said on a stream.
pub(crate) fn alive() -> StreamingPullResponse {
    StreamingPullResponse {
        subscription_properties: Some(SubscriptionProperties {
            exactly_once_delivery_enabled: false,
            message_ordering_enabled: true,
        }),
        ..StreamingPullResponse::default()
    }
}

/// A StreamingPull.
pub(crate) struct Stream {
    pub(crate) requests: mpsc::Sender<StreamingPullRequest>,
    responses: Responses,
}

enum Responses {
    Opening(JoinHandle<Result<Streaming<StreamingPullResponse>, Status>>),
    Open(Box<Streaming<StreamingPullResponse>>),
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Responses::Opening(opening) = &self.responses {
            opening.abort();
        }
    }
}

impl Stream {
    pub(crate) fn is_answered(&self) -> bool {
        match &self.responses {
            Responses::Opening(opening) => opening.is_finished(),
            Responses::Open(_) => true,
        }
    }

    /// The next response; None where the stream has ended well.
    pub(crate) async fn response(&mut self) -> Result<Option<StreamingPullResponse>, Status> {
        let response = async {
            if let Responses::Opening(opening) = &mut self.responses {
                self.responses = Responses::Open(Box::new(opening.await.unwrap()?));
            }
            match &mut self.responses {
                Responses::Open(responses) => responses.message().await,
                Responses::Opening(_) => unreachable!("it is open"),
            }
        };
        let response = tokio::time::timeout(DEADLINE, response).await;
        response.expect("a response comes in time")
    }

    /// Says that it is alive, and hears the same.
    pub(crate) async fn ping(&mut self) {
        let ping = StreamingPullRequest::default();
        self.requests.send(ping).await.unwrap();
        let answer = self.response().await.unwrap().unwrap();
        assert_eq!(answer.received_messages, []);
    }

    /// The next so many messages.
    pub(crate) async fn messages(&mut self, count: usize) -> Vec<ReceivedMessage> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let response = self.response().await.unwrap().unwrap();
            messages.extend(response.received_messages);
        }
        messages
    }
}

/// A request in JSON: the status, and what is answered.
pub(crate) fn json(pubsub: &PubSub, method: &str, path: &str, body: Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(pubsub.emulator_host()).unwrap();
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let length = body.len();
    let head = format!("{method} /v1/{path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Waits until so many deliveries' deadlines have passed.
pub(crate) async fn until_expired(pubsub: &PubSub, count: u64) {
    until(|| pubsub.counts().expired >= count).await;
}

/// What a method answers that there isn't.
pub(crate) async fn unknown_method(pubsub: &PubSub) -> Status {
    use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::ListSchemasRequest;
    use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::schema_service_client::SchemaServiceClient;
    let channel = Channel::from_shared(pubsub.endpoint()).unwrap();
    let mut client = SchemaServiceClient::new(channel.connect().await.unwrap());
    let listed = client.list_schemas(ListSchemasRequest::default()).await;
    listed.unwrap_err()
}

/// A message as it is in a gRPC request.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

/// What is answered to a request, as it comes.
pub(crate) async fn answer(
    pubsub: &PubSub,
    method: &str,
    framed: Vec<u8>,
) -> http::Response<tonic::body::Body> {
    let url = format!("{}/google.pubsub.v1.{method}", pubsub.endpoint());
    let request = http::Request::post(url).header("content-type", "application/grpc");
    let body = tonic::body::Body::new(http_body_util::Full::from(framed));
    let channel = Channel::from_shared(pubsub.endpoint()).unwrap();
    let mut channel = channel.connect().await.unwrap();
    std::future::poll_fn(|context| {
        GrpcService::<tonic::body::Body>::poll_ready(&mut channel, context)
    })
    .await
    .unwrap();
    channel.call(request.body(body).unwrap()).await.unwrap()
}
