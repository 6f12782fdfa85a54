use super::*;
use anyhub_conformance::assert_no_secret_is_printed;

fn parse(url: &str) -> Result<EventHubsConfig> {
    EventHubsConfig::from_url(&url.parse()?)
}

#[test]
fn a_url_says_all() {
    let config = parse(
        "eventhubs://n.servicebus.windows.net/t?endpoint=amqps://10.0.0.1:5671\
         &credential=workload_identity&partitioning=service&reader_group=score\
         &leases=sqlite:/var/lib/l.db&lease_time=2m&subscription=0-1&resource_group=rg\
         &management_endpoint=https://management.usgovcloudapi.net",
    )
    .unwrap();
    assert_eq!(
        config.namespace.as_deref(),
        Some("n.servicebus.windows.net")
    );
    assert_eq!(config.endpoint.as_deref(), Some("amqps://10.0.0.1:5671"));
    assert_eq!(config.credential, Some(Identity::WorkloadIdentity));
    assert_eq!(config.partitioning, Partitioning::Service);
    assert_eq!(config.reader_group, "score");
    assert_eq!(
        config.leases,
        Some(LeasesIn::Sqlite("/var/lib/l.db".into()))
    );
    assert_eq!(config.lease_time, Duration::from_secs(120));
    assert_eq!(config.subscription.as_deref(), Some("0-1"));
    assert_eq!(config.resource_group.as_deref(), Some("rg"));
    let management = config.management_endpoint.as_deref();
    assert_eq!(management, Some("https://management.usgovcloudapi.net"));
    let config = parse("eventhubs:/t?connection_string_file=/run/secrets/hub").unwrap();
    assert_eq!(config.namespace, None);
    assert_eq!(
        config.connection_string_file,
        Some("/run/secrets/hub".into())
    );
    assert_eq!(config.reader_group, "$Default");
}

#[test]
fn a_namespace_goes_without_an_event_hub() {
    for url in [
        "eventhubs://n.servicebus.windows.net",
        "eventhubs://localhost",
        "eventhubs://n?endpoint=amqps://10.0.0.1",
        "eventhubs:?leases=memory",
    ] {
        assert!(parse(url).is_ok(), "{url}");
    }
}

#[test]
fn only_this_machine_is_local() {
    let local = |endpoint: &str| EventHubsConfig::new().endpoint(endpoint).is_local();
    for endpoint in ["amqp://localhost:1", "amqps://127.0.0.2", "amqp://[::1]:5"] {
        assert!(local(endpoint), "{endpoint}");
    }
    for endpoint in [
        "amqps://localhost.example.com",
        "amqps://10.0.0.1",
        "amqps://127.example.com",
    ] {
        assert!(!local(endpoint), "{endpoint}");
    }
    assert!(!EventHubsConfig::new().is_local());
}

#[test]
fn says_what_is_wrong() {
    let cases = [
        ("eventhubs://n/t?endpiont=x", "did you mean 'endpoint'?"),
        ("eventhubs://n:5671/t", "goes into endpoint="),
        ("eventhubs://n/t?endpoint=127.0.0.1", "is no endpoint"),
        ("eventhubs://n/t?endpoint=amqps://h:99999", "is no endpoint"),
        (
            "eventhubs://n/t?endpoint=amqp://10.0.0.1:5672",
            "in the clear",
        ),
        (
            "eventhubs://n/t?credential=managed_identiy",
            "did you mean credential=managed_identity?",
        ),
        (
            "eventhubs://n/t?partitioning=round",
            "partitioning=hash or partitioning=service",
        ),
        ("eventhubs://n/t?reader_group=", "is empty"),
        ("eventhubs://tweets", "behind one slash: eventhubs:/tweets"),
        ("eventhubs://tweets?leases=memory", "is no namespace"),
        ("eventhubs:/tweets/more", "eventhubs:/HUB"),
        ("eventhubs://n/tweets%3F", "can't be an event hub's name"),
        ("eventhubs://n/t?leases=blob", "leases=memory"),
        ("eventhubs://n/t?lease_time=1ms", "100ms or more"),
        (
            "eventhubs://n/t?subscription=0",
            "resource_group is missing",
        ),
    ];
    for (url, expected) in cases {
        let error = parse(url).unwrap_err();
        assert_eq!(error.kind(), anyhub_core::ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
}

#[test]
fn what_may_be_secret_is_printed_nowhere() {
    assert_no_secret_is_printed("eventhubs", "n.servicebus.windows.net", &OPTIONS, |url| {
        let config = EventHubsConfig::from_url(url)?;
        Ok((config.clone(), crate::EventHubsHub::new(config)))
    });
}

#[test]
fn a_secret_is_not_printed() {
    let config = EventHubsConfig::new().connection_string("SharedAccessKey=hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
}
