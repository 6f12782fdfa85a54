//! Requests as they are on the wire, without what an SDK does by itself: gRPC, and JSON.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::publisher_client::PublisherClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::subscriber_client::SubscriberClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PublishRequest, PubsubMessage, PullRequest,
    ReceivedMessage, StreamingPullRequest, StreamingPullResponse, Subscription, Topic,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::client::GrpcService;
use tonic::transport::Channel;
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

/// A server and a connection to it, without anything in it.
pub(crate) async fn connect(pubsub: &PubSub) -> Raw {
    let channel = Channel::from_shared(pubsub.endpoint()).unwrap();
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

    /// Opens a StreamingPull.
    pub(crate) async fn stream(&mut self, first: StreamingPullRequest) -> Result<Stream, Status> {
        let (requests, sent) = mpsc::channel(16);
        requests.send(first).await.unwrap();
        let sent = futures_util::stream::unfold(sent, |mut sent| async move {
            Some((sent.recv().await?, sent))
        });
        let responses = self.subscriber.streaming_pull(Request::new(sent)).await?;
        Ok(Stream {
            requests,
            responses: responses.into_inner(),
        })
    }
}

/// The first request of a stream.
pub(crate) fn first() -> StreamingPullRequest {
    StreamingPullRequest {
        subscription: SUBSCRIPTION.into(),
        stream_ack_deadline_seconds: 10,
        ..StreamingPullRequest::default()
    }
}

/// A StreamingPull.
pub(crate) struct Stream {
    pub(crate) requests: mpsc::Sender<StreamingPullRequest>,
    responses: Streaming<StreamingPullResponse>,
}

impl Stream {
    /// The next response; None where the stream has ended well.
    pub(crate) async fn response(&mut self) -> Result<Option<StreamingPullResponse>, Status> {
        let response = tokio::time::timeout(DEADLINE, self.responses.message()).await;
        response.expect("a response comes in time")
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

/// What is answered to a request, as it comes.
pub(crate) async fn answer(
    pubsub: &PubSub,
    method: &str,
    message: &impl prost::Message,
) -> http::Response<tonic::body::Body> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut framed).unwrap();
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
