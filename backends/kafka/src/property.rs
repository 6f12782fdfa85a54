//! The configuration properties of librdkafka: their names, whom they concern, and which of them
//! the backend sets itself.

use Role::{Both, Consumer, Producer};

/// Which clients take a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Both,
    Producer,
    Consumer,
}

impl Role {
    pub(crate) fn takes(self, property: Self) -> bool {
        property == Both || property == self
    }
}

/// Whom a property concerns; None if librdkafka has none of this name.
pub(crate) fn role(name: &str) -> Option<Role> {
    let found = PROPERTIES.binary_search_by_key(&name, |(name, _)| name);
    found.ok().map(|index| PROPERTIES[index].1)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.iter().map(|(name, _)| *name)
}

/// Why a property can't be set, and what to use instead, where the backend sets it itself.
pub(crate) fn refusal(name: &str, value: &str) -> Option<&'static str> {
    Some(match name {
        "bootstrap.servers" | "metadata.broker.list" => {
            "the brokers stand before the path of the URL"
        }
        "group.id" => "use ConsumerOptions::group",
        "enable.auto.commit" | "auto.commit.enable" | "auto.commit.interval.ms" => {
            "checkpoints follow the acks: use ConsumerOptions::commit_interval"
        }
        "enable.auto.offset.store"
        | "offset.store.method"
        | "offset.store.path"
        | "offset.store.sync.interval.ms" => "checkpoints follow the acks",
        "auto.offset.reset" => "use ConsumerOptions::start",
        "max.poll.interval.ms" => "use ConsumerOptions::max_processing",
        "queued.min.messages" => "use ConsumerOptions::prefetch_events",
        "queued.max.messages.kbytes" => "use ConsumerOptions::prefetch_bytes",
        "enable.partition.eof" => "the end of a partition is no event",
        "group.protocol" | "group.protocol.type" | "group.remote.assignor" => {
            "the classic group protocol is used: librdkafka 2.12 can stall on the other one"
        }
        "message.timeout.ms" | "delivery.timeout.ms" => "use ProducerOptions::deadline",
        "queue.buffering.max.messages" => "use ProducerOptions::buffer_events",
        "queue.buffering.max.kbytes" => "use ProducerOptions::buffer_bytes",
        "queuing.strategy" => "a key keeps its order only first in, first out",
        "delivery.report.only.error" | "produce.offset.report" => {
            "receipts need the reports of delivery"
        }
        "transactional.id" | "transaction.timeout.ms" => "transactions are not offered",
        "log.queue" | "log_level" => "its log lines go to tracing: filter the target 'librdkafka'",
        "acks" | "request.required.acks" if value.trim() == "0" => {
            "a receipt says that the event was written: use 1 or all"
        }
        _ => return None,
    })
}

/// Whether its value names code that librdkafka loads or runs, which no URL may decide: URLs come
/// from places where code does not.
pub(crate) fn runs_code(name: &str) -> bool {
    matches!(
        name,
        "plugin.library.paths"
            | "ssl.engine.location"
            | "ssl.engine.id"
            | "ssl.providers"
            | "sasl.kerberos.kinit.cmd"
    )
}

/// From CONFIGURATION.md of librdkafka 2.12.1, without those that take functions of C. Sorted.
const PROPERTIES: &[(&str, Role)] = &[
    ("acks", Producer),
    ("allow.auto.create.topics", Both),
    ("api.version.fallback.ms", Both),
    ("api.version.request", Both),
    ("api.version.request.timeout.ms", Both),
    ("auto.commit.enable", Consumer),
    ("auto.commit.interval.ms", Consumer),
    ("auto.offset.reset", Consumer),
    ("batch.num.messages", Producer),
    ("batch.size", Producer),
    ("bootstrap.servers", Both),
    ("broker.address.family", Both),
    ("broker.address.ttl", Both),
    ("broker.version.fallback", Both),
    ("check.crcs", Consumer),
    ("client.dns.lookup", Both),
    ("client.id", Both),
    ("client.rack", Both),
    ("compression.codec", Producer),
    ("compression.level", Producer),
    ("compression.type", Producer),
    ("connections.max.idle.ms", Both),
    ("coordinator.query.interval.ms", Consumer),
    ("debug", Both),
    ("delivery.report.only.error", Producer),
    ("delivery.timeout.ms", Producer),
    ("enable.auto.commit", Consumer),
    ("enable.auto.offset.store", Consumer),
    ("enable.gapless.guarantee", Producer),
    ("enable.idempotence", Producer),
    ("enable.metrics.push", Both),
    ("enable.partition.eof", Consumer),
    ("enable.random.seed", Both),
    ("enable.sasl.oauthbearer.unsecure.jwt", Both),
    ("enable.ssl.certificate.verification", Both),
    ("fetch.error.backoff.ms", Consumer),
    ("fetch.max.bytes", Consumer),
    ("fetch.message.max.bytes", Consumer),
    ("fetch.min.bytes", Consumer),
    ("fetch.queue.backoff.ms", Consumer),
    ("fetch.wait.max.ms", Consumer),
    ("group.id", Consumer),
    ("group.instance.id", Consumer),
    ("group.protocol", Consumer),
    ("group.protocol.type", Consumer),
    ("group.remote.assignor", Consumer),
    ("heartbeat.interval.ms", Consumer),
    ("https.ca.location", Both),
    ("https.ca.pem", Both),
    ("internal.termination.signal", Both),
    ("isolation.level", Consumer),
    ("linger.ms", Producer),
    ("log.connection.close", Both),
    ("log.queue", Both),
    ("log.thread.name", Both),
    ("log_level", Both),
    ("max.in.flight", Both),
    ("max.in.flight.requests.per.connection", Both),
    ("max.partition.fetch.bytes", Consumer),
    ("max.poll.interval.ms", Consumer),
    ("message.copy.max.bytes", Both),
    ("message.max.bytes", Both),
    ("message.send.max.retries", Producer),
    ("message.timeout.ms", Producer),
    ("metadata.broker.list", Both),
    ("metadata.max.age.ms", Both),
    ("metadata.recovery.rebootstrap.trigger.ms", Both),
    ("metadata.recovery.strategy", Both),
    ("offset.store.method", Consumer),
    ("offset.store.path", Consumer),
    ("offset.store.sync.interval.ms", Consumer),
    ("partition.assignment.strategy", Consumer),
    ("partitioner", Producer),
    ("plugin.library.paths", Both),
    ("produce.offset.report", Producer),
    ("queue.buffering.backpressure.threshold", Producer),
    ("queue.buffering.max.kbytes", Producer),
    ("queue.buffering.max.messages", Producer),
    ("queue.buffering.max.ms", Producer),
    ("queued.max.messages.kbytes", Consumer),
    ("queued.min.messages", Consumer),
    ("queuing.strategy", Producer),
    ("receive.message.max.bytes", Both),
    ("reconnect.backoff.jitter.ms", Both),
    ("reconnect.backoff.max.ms", Both),
    ("reconnect.backoff.ms", Both),
    ("request.required.acks", Producer),
    ("request.timeout.ms", Producer),
    ("retries", Producer),
    ("retry.backoff.max.ms", Both),
    ("retry.backoff.ms", Both),
    ("sasl.kerberos.keytab", Both),
    ("sasl.kerberos.kinit.cmd", Both),
    ("sasl.kerberos.min.time.before.relogin", Both),
    ("sasl.kerberos.principal", Both),
    ("sasl.kerberos.service.name", Both),
    ("sasl.mechanism", Both),
    ("sasl.mechanisms", Both),
    ("sasl.oauthbearer.assertion.algorithm", Both),
    ("sasl.oauthbearer.assertion.claim.aud", Both),
    ("sasl.oauthbearer.assertion.claim.exp.seconds", Both),
    ("sasl.oauthbearer.assertion.claim.iss", Both),
    ("sasl.oauthbearer.assertion.claim.jti.include", Both),
    ("sasl.oauthbearer.assertion.claim.nbf.seconds", Both),
    ("sasl.oauthbearer.assertion.claim.sub", Both),
    ("sasl.oauthbearer.assertion.file", Both),
    ("sasl.oauthbearer.assertion.jwt.template.file", Both),
    ("sasl.oauthbearer.assertion.private.key.file", Both),
    ("sasl.oauthbearer.assertion.private.key.passphrase", Both),
    ("sasl.oauthbearer.assertion.private.key.pem", Both),
    ("sasl.oauthbearer.client.credentials.client.id", Both),
    ("sasl.oauthbearer.client.credentials.client.secret", Both),
    ("sasl.oauthbearer.client.id", Both),
    ("sasl.oauthbearer.client.secret", Both),
    ("sasl.oauthbearer.config", Both),
    ("sasl.oauthbearer.extensions", Both),
    ("sasl.oauthbearer.grant.type", Both),
    ("sasl.oauthbearer.metadata.authentication.type", Both),
    ("sasl.oauthbearer.method", Both),
    ("sasl.oauthbearer.scope", Both),
    ("sasl.oauthbearer.token.endpoint.url", Both),
    ("sasl.password", Both),
    ("sasl.username", Both),
    ("security.protocol", Both),
    ("session.timeout.ms", Consumer),
    ("socket.blocking.max.ms", Both),
    ("socket.connection.setup.timeout.ms", Both),
    ("socket.keepalive.enable", Both),
    ("socket.max.fails", Both),
    ("socket.nagle.disable", Both),
    ("socket.receive.buffer.bytes", Both),
    ("socket.send.buffer.bytes", Both),
    ("socket.timeout.ms", Both),
    ("ssl.ca.certificate.stores", Both),
    ("ssl.ca.location", Both),
    ("ssl.ca.pem", Both),
    ("ssl.certificate.location", Both),
    ("ssl.certificate.pem", Both),
    ("ssl.cipher.suites", Both),
    ("ssl.crl.location", Both),
    ("ssl.curves.list", Both),
    ("ssl.endpoint.identification.algorithm", Both),
    ("ssl.engine.id", Both),
    ("ssl.engine.location", Both),
    ("ssl.key.location", Both),
    ("ssl.key.password", Both),
    ("ssl.key.pem", Both),
    ("ssl.keystore.location", Both),
    ("ssl.keystore.password", Both),
    ("ssl.providers", Both),
    ("ssl.sigalgs.list", Both),
    ("statistics.interval.ms", Both),
    ("sticky.partitioning.linger.ms", Producer),
    ("topic.blacklist", Both),
    ("topic.metadata.propagation.max.ms", Both),
    ("topic.metadata.refresh.fast.cnt", Both),
    ("topic.metadata.refresh.fast.interval.ms", Both),
    ("topic.metadata.refresh.interval.ms", Both),
    ("topic.metadata.refresh.sparse", Both),
    ("transaction.timeout.ms", Producer),
    ("transactional.id", Producer),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rdkafka::{ClientConfig, error::KafkaError, types::RDKafkaConfRes};

    #[test]
    fn are_sorted_and_known_to_librdkafka() {
        assert!(PROPERTIES.is_sorted_by_key(|(name, _)| *name));
        for name in names() {
            let set = ClientConfig::new()
                .set(name, "\u{1}")
                .create_native_config();
            if let Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) = set {
                panic!("librdkafka has no property {name}");
            }
        }
        assert_eq!(role("linger.ms"), Some(Producer));
        assert_eq!(role("lingr.ms"), None);
    }

    #[test]
    fn every_refused_property_exists() {
        let refused = names().filter(|name| refusal(name, "0").is_some()).count();
        assert_eq!(refused, 31);
        assert_eq!(names().filter(|name| runs_code(name)).count(), 5);
    }
}
