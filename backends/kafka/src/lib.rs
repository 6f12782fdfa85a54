//! Apache Kafka for anyhub, on librdkafka.
