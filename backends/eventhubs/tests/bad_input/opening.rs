use crate::{
    log::{config, read, server, within},
    told,
};
use anyhub_core::{ConsumerOptions, Error, ErrorKind, Hub, ProducerOptions, Result, TopicConfig};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub, LeasesIn};
use anyhub_local::EventHubs;

/// What one who reads is told, as it is opened or as it is first asked.
async fn refused_reader(hub: &EventHubsHub, topic: &str, options: ConsumerOptions) -> Error {
    let reading = async {
        let mut consumer = hub.consumer(topic, options).await?;
        loop {
            consumer.receive(1).await?;
        }
    };
    let refused: Result<()> = within(reading).await;
    refused.unwrap_err()
}

/// What whoever uses this event hub is told, each in a way of its own.
async fn refusals(config: EventHubsConfig, topic: &str) -> Vec<Error> {
    let hub = EventHubsHub::new(config.leases(LeasesIn::Memory)).unwrap();
    let producer = within(hub.producer(topic, ProducerOptions::new()));
    let told = vec![
        producer.await.unwrap_err(),
        refused_reader(&hub, topic, ConsumerOptions::new()).await,
        refused_reader(&hub, topic, ConsumerOptions::new().group("g")).await,
        within(hub.admin().describe_topic(topic)).await.unwrap_err(),
    ];
    within(hub.close()).await.unwrap();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_there() {
    // By RFC 2606 no name ends so.
    let text = "Endpoint=sb://nowhere.invalid/;SharedAccessKeyName=a;SharedAccessKey=b";
    for error in refusals(EventHubsConfig::new().connection_string(text), "t").await {
        told(&error, ErrorKind::Unavailable, "nowhere.invalid");
    }
    // Where no server of this machine is: at the port of a namespace.
    if std::net::TcpListener::bind("127.0.0.1:5671").is_ok() {
        let text = "Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=b";
        for error in refusals(EventHubsConfig::new().connection_string(text), "t").await {
            told(&error, ErrorKind::Unavailable, "localhost:5671");
            told(
                &error,
                ErrorKind::Unavailable,
                "endpoint=amqp://127.0.0.1:PORT",
            );
        }
    } else {
        eprintln!("skipped: port 5671 is taken");
    }
    let server = server(1);
    let config = config(&server);
    server.stop();
    for error in refusals(config, "t").await {
        told(&error, ErrorKind::Unavailable, "can't be reached");
    }
    let error = EventHubsHub::new(EventHubsConfig::new().namespace("no host")).unwrap_err();
    told(&error, ErrorKind::Config, "'no host'");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key() {
    let server = server(1);
    let right = server.connection_string("t");
    for (from, to) in [
        ("SAS_KEY_VALUE", "SAS_KEY_VALUF"),
        ("RootManageSharedAccessKey", "Other"),
    ] {
        let wrong = config(&server).connection_string(right.replace(from, to));
        for error in refusals(wrong, "t").await {
            told(&error, ErrorKind::Denied, "InvalidSignature");
            assert!(!format!("{error} {error:?}").contains(to), "{error:?}");
        }
    }
    let counts = server.counts();
    assert_eq!(
        counts.refused_tokens, 8,
        "each is told once, not tried again"
    );
    assert_eq!(counts.events_in, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_hub_that_is_not_there() {
    let server = server(1);
    for name in ["nowhere", "no name at all!", "t/Partitions/0", "../t", ""] {
        for error in refusals(config(&server), name).await {
            told(&error, ErrorKind::NotFound, &format!("'{name}'"));
        }
    }
    for error in refusals(config(&server), "nowhere").await {
        let how = "anyhub-local up eventhubs --event-hub";
        told(&error, ErrorKind::NotFound, how);
    }
    // One that the connection string does not speak of.
    let text = server.connection_string("other");
    for error in refusals(config(&server).connection_string(text), "t").await {
        told(&error, ErrorKind::Config, "'other'");
    }
}

/// As people paste them where a name is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_for_a_name_is_not_printed() {
    let server = server(1);
    let hub = EventHubsHub::new(config(&server).leases(LeasesIn::Memory)).unwrap();
    let admin = hub.admin();
    for pasted in [
        "Endpoint=sb://h/;SharedAccessKeyName=root;SharedAccessKey=hunter2=",
        "eyJhbGciOiJIUzI1NiJ9.hunter2KmVq1x8Zb0Rk3Yt5Wc7Pq9Ls2Df4.x",
    ] {
        let hidden = |error: Error, kind| {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        };
        for error in refusals(config(&server), pasted).await {
            hidden(error, ErrorKind::NotFound);
        }
        let topic = within(admin.create_topic(&TopicConfig::new(pasted))).await;
        hidden(topic.unwrap_err(), ErrorKind::Unsupported);
        let group = ConsumerOptions::new().group(pasted);
        let error = refused_reader(&hub, "t", group).await;
        hidden(error, ErrorKind::Invalid);
        let reads_as = EventHubsHub::new(config(&server).reader_group(pasted)).unwrap();
        let error = refused_reader(&reads_as, "t", ConsumerOptions::new()).await;
        hidden(error, ErrorKind::Invalid);
        let told = within(admin.delete_group(pasted)).await;
        hidden(told.unwrap_err(), ErrorKind::Invalid);
        let told = within(admin.lag("t", pasted)).await;
        hidden(told.unwrap_err(), ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_group_that_is_not_there() {
    let server = server(1);
    let config = config(&server);
    let grouped = config.clone().leases(LeasesIn::Memory);
    let hub = EventHubsHub::new(grouped).unwrap();
    let error = refused_reader(&hub, "t", ConsumerOptions::new().group("score")).await;
    told(&error, ErrorKind::NotFound, "score");
    told(
        &error,
        ErrorKind::NotFound,
        "anyhub-local up eventhubs --group",
    );
    let hub = EventHubsHub::new(config.reader_group("audit")).unwrap();
    let error = refused_reader(&hub, "t", ConsumerOptions::new()).await;
    told(&error, ErrorKind::NotFound, "audit");
    told(
        &error,
        ErrorKind::NotFound,
        "anyhub-local up eventhubs --group",
    );
    // It is there when it has been made.
    server.create_group("t", "audit").unwrap();
    let consumer = within(hub.consumer("t", ConsumerOptions::new())).await;
    within(consumer.unwrap().close()).await.unwrap();
    assert!(read(&server, "t").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_string_with_parts_missing() {
    let server = server(1);
    let whole = server.connection_string("t");
    let without = |part: &str| {
        let kept = whole.split(';').filter(|kept| !kept.starts_with(part));
        kept.collect::<Vec<_>>().join(";")
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connection-string");
    for (part, named) in [
        ("Endpoint=", "no Endpoint"),
        ("SharedAccessKeyName=", "no SharedAccessKeyName"),
        ("SharedAccessKey=", "no SharedAccessKey"),
        (
            "SharedAccessKey",
            "no SharedAccessKeyName and SharedAccessKey",
        ),
        ("", "it is empty"),
    ] {
        let text = without(part);
        std::fs::write(&file, &text).unwrap();
        for config in [
            config(&server).connection_string(&text),
            config(&server).connection_string_file(&file),
        ] {
            for error in refusals(config, "t").await {
                told(&error, ErrorKind::Config, named);
                assert!(!error.to_string().contains("SAS_KEY_VALUE"), "{error}");
            }
        }
    }
    let cut = &whole[..whole.find("SharedAccessKey=").unwrap() + 10];
    for error in refusals(config(&server).connection_string(cut), "t").await {
        told(&error, ErrorKind::Config, "NAME=VALUE");
    }
    std::fs::remove_file(&file).unwrap();
    for error in refusals(config(&server).connection_string_file(&file), "t").await {
        told(&error, ErrorKind::Config, "connection-string");
    }
    assert_eq!(server.counts().connections, 0, "nobody is asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_expired_before() {
    let server = server(1);
    let expired = server.token("t", std::time::Duration::ZERO);
    let text = format!("Endpoint=sb://localhost/;SharedAccessSignature={expired}");
    for error in refusals(config(&server).connection_string(text), "t").await {
        told(&error, ErrorKind::Denied, "has expired");
    }
    let without = "Endpoint=sb://localhost/;SharedAccessSignature=SharedAccessSignature sr=x&sig=y";
    for error in refusals(config(&server).connection_string(without), "t").await {
        told(&error, ErrorKind::Config, "se=SECONDS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_where_there_is_none_and_none_where_there_is() {
    let plain = server(1);
    let tls = EventHubs::builder().hub("t", 1).tls(true).start().unwrap();
    let other = |endpoint: String, from, to| {
        EventHubsConfig::new()
            .namespace("localhost")
            .endpoint(endpoint.replace(from, to))
    };
    for (config, says, advises) in [
        (
            other(plain.endpoint(), "amqp:", "amqps:"),
            "no TLS is spoken there",
            "endpoint=amqp://",
        ),
        (
            other(tls.endpoint(), "amqps:", "amqp:"),
            "no plain AMQP is spoken there",
            "amqps:",
        ),
        (config(&tls), "can't be reached", "SSL_CERT_FILE"),
    ] {
        for error in refusals(config, "t").await {
            told(&error, ErrorKind::Unavailable, says);
            assert!(
                error.advice().unwrap().contains(advises),
                "{error} {error:?}"
            );
        }
    }
}
