//! Answers that carry messages: on the wire as Google's, but with each message encoded already.

use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::streaming_pull_response::{
    AcknowledgeConfirmation, ModifyAckDeadlineConfirmation, SubscriptionProperties,
};

/// `google.pubsub.v1.ReceivedMessage`: a message and bytes look the same within another message.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReceivedMessage {
    #[prost(string, tag = "1")]
    pub(super) ack_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) message: Bytes,
    /// 0 where the subscription has no dead-letter topic.
    #[prost(int32, tag = "3")]
    pub(super) delivery_attempt: i32,
}

/// `google.pubsub.v1.PullResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) received_messages: Vec<ReceivedMessage>,
}

/// `google.pubsub.v1.StreamingPullResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StreamingPullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) received_messages: Vec<ReceivedMessage>,
    #[prost(message, optional, tag = "3")]
    pub(super) modify_ack_deadline_confirmation: Option<ModifyAckDeadlineConfirmation>,
    #[prost(message, optional, tag = "4")]
    pub(super) subscription_properties: Option<SubscriptionProperties>,
    #[prost(message, optional, tag = "5")]
    pub(super) acknowledge_confirmation: Option<AcknowledgeConfirmation>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_reader_sees_google_s_message() {
        let message = v1::PubsubMessage {
            data: "x".into(),
            ordering_key: "k".into(),
            ..v1::PubsubMessage::default()
        };
        let ours = StreamingPullResponse {
            received_messages: vec![ReceivedMessage {
                ack_id: "a".into(),
                message: message.encode_to_vec().into(),
                delivery_attempt: 2,
            }],
            acknowledge_confirmation: Some(AcknowledgeConfirmation {
                ack_ids: vec!["b".into()],
                ..AcknowledgeConfirmation::default()
            }),
            ..StreamingPullResponse::default()
        };
        let theirs = v1::StreamingPullResponse::decode(&*ours.encode_to_vec()).unwrap();
        let received = &theirs.received_messages[0];
        assert_eq!(received.message.as_ref(), Some(&message));
        assert_eq!(
            (received.ack_id.as_str(), received.delivery_attempt),
            ("a", 2)
        );
        let confirmed = theirs.acknowledge_confirmation.unwrap();
        assert_eq!(confirmed.ack_ids, ["b"]);
    }
}
