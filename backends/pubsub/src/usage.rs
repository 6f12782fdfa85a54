use anyhub_core::Usage;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use std::sync::atomic::{AtomicU64, Ordering};

/// What Pub/Sub bills, counted as it is sent and received.
///
/// Throughput is bytes of data and attributes, 20 bytes for each message's time, its id, and 1,000 bytes at least for each
/// request (Pub/Sub pricing, 2026-11). It does not say what a request of a StreamingPull is, nor whether ordering keys
/// count: here each response is one, and they do. Storage, billed by the byte and month where a topic keeps messages, is no
/// matter of a client's, and not in it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    publish_bytes: AtomicU64,
    publish_requests: AtomicU64,
    delivery_bytes: AtomicU64,
    delivery_requests: AtomicU64,
    ack_requests: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
}

/// What a request is billed as at least, in bytes.
const LEAST: u64 = 1_000;
/// What a message's time is billed as, in bytes.
const TIME: u64 = 20;

/// What a message is billed as but for its time, in bytes.
pub(crate) fn size(message: &PubsubMessage) -> usize {
    let attributes = message.attributes.iter();
    let attributes = attributes.map(|(name, value)| name.len() + value.len());
    message.data.len()
        + message.ordering_key.len()
        + message.message_id.len()
        + attributes.sum::<usize>()
}

impl Counters {
    /// A request with so many messages, which have so many bytes together, their times aside.
    pub(crate) fn published(&self, messages: usize, bytes: usize) {
        add(&self.publish_bytes, billed(messages, bytes));
        add(&self.publish_requests, 1);
        add(&self.messages_in, messages as u64);
    }

    /// A response with so many; the same.
    pub(crate) fn delivered(&self, messages: usize, bytes: usize) {
        add(&self.delivery_bytes, billed(messages, bytes));
        add(&self.delivery_requests, 1);
        add(&self.messages_out, messages as u64);
    }

    /// A request that acknowledges, nacks or prolongs, which is free.
    pub(crate) fn acked(&self) {
        add(&self.ack_requests, 1);
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let all = [
            ("publish_bytes", &self.publish_bytes),
            ("publish_requests", &self.publish_requests),
            ("delivery_bytes", &self.delivery_bytes),
            ("delivery_requests", &self.delivery_requests),
            ("ack_requests", &self.ack_requests),
            ("messages_in", &self.messages_in),
            ("messages_out", &self.messages_out),
        ];
        for (unit, amount) in all {
            usage.add(unit, amount.load(Ordering::Relaxed));
        }
        usage
    }
}

fn billed(messages: usize, bytes: usize) -> u64 {
    (bytes as u64 + TIME * messages as u64).max(LEAST)
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_1_000_bytes_at_least() {
        for (messages, bytes, billed) in [(1, 0, 1_000), (10, 800, 1_000), (10, 900, 1_100)] {
            let counters = Counters::default();
            counters.published(messages, bytes);
            counters.delivered(messages, bytes);
            let usage = counters.usage();
            assert_eq!(usage.get("publish_bytes"), billed);
            assert_eq!(usage.get("delivery_bytes"), billed);
        }
    }
}
