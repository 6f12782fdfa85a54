//! Hubs of several providers in one process: what one brings for TLS is not in another one's way.
#![allow(missing_docs, clippy::unwrap_used)]

use anyhub::{Event, ProducerExt, ProducerOptions, TopicConfig, connect};
use anyhub_local::{eventhubs::EventHubs, kinesis::Kinesis};
use std::{env, io::Write as _, process::Command};

/// Names the server to the process that is to trust its certificate.
const SERVER: &str = "ANYHUB_TOGETHER_SERVER";

/// A certificate is trusted by an environment variable, which only a new process may be given.
#[test]
fn event_hubs_over_tls_beside_kinesis() {
    let server = EventHubs::builder().hub("t", 2).tls(true).start().unwrap();
    let mut trusted = tempfile::NamedTempFile::new().unwrap();
    let certificate = server.certificate().unwrap();
    trusted.write_all(certificate.as_bytes()).unwrap();
    for first in ["eventhubs", "kinesis"] {
        let ended = Command::new(env::current_exe().unwrap())
            .args(["--exact", "both", "--ignored", "--nocapture"])
            .env(SERVER, format!("{first} {}", server.url("t")))
            .env("SSL_CERT_FILE", trusted.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stdout);
        let wrong = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{first} first: {told}{wrong}");
        assert!(told.contains("1 passed"), "{told}");
    }
    assert_eq!(server.counts().events_in, 2);
    // Without the certificate it is refused, and says why.
    let ended = Command::new(env::current_exe().unwrap())
        .args(["--exact", "both", "--ignored", "--nocapture"])
        .env(SERVER, format!("eventhubs {}", server.url("t")))
        .output()
        .unwrap();
    assert!(!ended.status.success());
    let wrong = String::from_utf8_lossy(&ended.stderr);
    assert!(wrong.contains("certificate"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by event_hubs_over_tls_beside_kinesis, in a process of its own"]
async fn both() {
    let server = env::var(SERVER).unwrap();
    let (first, url) = server.split_once(' ').unwrap();
    let kinesis = Kinesis::builder().start().unwrap();
    let there = format!(
        "kinesis://us-east-1/t?endpoint={}&leases=memory",
        kinesis.endpoint()
    );
    let mut urls = [url, there.as_str()];
    if first == "kinesis" {
        urls.reverse();
    }
    for url in urls {
        let hub = connect(url).unwrap();
        if hub.name() == "kinesis" {
            hub.admin()
                .create_topic(&TopicConfig::new("t"))
                .await
                .unwrap();
        }
        let producer = hub.producer("t", ProducerOptions::new()).await.unwrap();
        producer.send(Event::new("x").with_key("k")).await.unwrap();
        hub.close().await.unwrap();
    }
}
