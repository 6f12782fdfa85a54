use super::*;
use anyhub_conformance::assert_no_secret_is_printed;
use rdkafka::consumer::BaseConsumer;
use std::io::Write;

fn gather(url: &str, environment: &[(&str, &str)]) -> Result<KafkaConfig> {
    let environment = environment
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
    let config = KafkaConfig::gather(&url.parse()?, environment)?;
    config.check()?;
    Ok(config)
}

#[test]
fn the_url_goes_before_the_environment_and_that_before_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        file,
        "# secrets\n\nsasl.password = one\nssl.ca.location=/a\nlinger.ms=1"
    )
    .unwrap();
    let url = format!(
        "kafka://a:1,b/t?linger.ms=3&properties={}",
        file.path().display()
    );
    assert!(gather("kafka://[::1]:9092,[::1]/t", &[]).is_ok());
    let environment = [("ANYHUB_KAFKA_SASL_PASSWORD", "two"), ("HOME", "/")];
    let config = gather(&url, &environment).unwrap();
    assert_eq!(config.bootstrap, "a:1,b");
    let value = |name| config.properties[name].expose();
    assert_eq!(value("sasl.password"), "two");
    assert_eq!(value("ssl.ca.location"), "/a");
    assert_eq!(value("linger.ms"), "3");
}

#[test]
fn brokers_in_the_file_are_those_of_the_url() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "bootstrap.servers=a:1").unwrap();
    let url = |brokers| format!("kafka://{brokers}/t?properties={}", file.path().display());
    assert!(gather(&url("a:1"), &[]).unwrap().properties.is_empty());
    let error = gather(&url("b:1"), &[]).unwrap_err().to_string();
    assert!(error.contains("and the URL 'b:1'"), "{error}");
}

#[test]
fn only_a_url_can_run_no_code() {
    let error = gather("kafka://a/t?plugin.library.paths=/tmp/x", &[]).unwrap_err();
    assert!(error.to_string().contains("a URL can't set it"), "{error}");
    let environment = [("ANYHUB_KAFKA_SASL_KERBEROS_KINIT_CMD", "true")];
    assert!(gather("kafka://a/t", &environment).is_ok());
}

#[test]
fn prints_no_value() {
    let secret = [
        "sasl.password",
        "sasl.username",
        "ssl.key.pem",
        "ssl.key.password",
        "sasl.oauthbearer.config",
    ];
    for name in secret {
        let config = KafkaConfig::new("a").property(name, "hunter2");
        let printed = format!("{config:?} {:?}", config.check());
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains(name), "{printed}");
    }
    let error = gather("kafka://a/t?acks=hunter2", &[])
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn what_may_be_secret_is_printed_nowhere() {
    let names: Vec<_> = property::names().chain([FILE]).collect();
    assert_no_secret_is_printed("kafka", "a:9092", &names, |url| {
        let config = KafkaConfig::from_url(url)?;
        Ok((config.clone(), crate::KafkaHub::new(config)))
    });
}

#[test]
fn no_client_tells_the_value_that_it_refuses() {
    for name in property::names().filter(|name| !property::runs_code(name)) {
        for value in [
            "hunter2",
            "all,hunter2=",
            "/hunter2@x",
            "a\"hunter2\"b",
            "key=hunter2",
            " hunter2= ",
        ] {
            let config = KafkaConfig::new("127.0.0.1:9").property(name, value);
            let role = property::role(name).unwrap();
            let made = config.check().err().or_else(|| {
                let made = config.client(role).create::<BaseConsumer>();
                made.err().map(|error| crate::error::failed("test", &error))
            });
            let printed = format!(
                "{made:?} {}",
                made.as_ref().map(Error::to_string).unwrap_or_default()
            );
            let is_named = name == "partition.assignment.strategy" && value == "hunter2";
            assert!(
                is_named || !printed.contains("hunter2"),
                "{name}={value}: {printed}"
            );
        }
    }
}

#[test]
fn says_what_is_wrong() {
    let cases = [
        ("kafka:/t", "names no broker"),
        ("kafka://a:99999/t", "'a:99999' is no broker"),
        ("kafka://a:0/t", "is no broker"),
        ("kafka://a:x/t", "is no broker"),
        ("kafka://a:1,,b/t", "'' is no broker"),
        ("kafka://:9092/t", "is no broker"),
        ("kafka://a/t?lingr.ms=1", "did you mean 'linger.ms'?"),
        ("kafka://a/t?propertis=/x", "did you mean 'properties'?"),
        ("kafka://a/t?group.id=g", "use ConsumerOptions::group"),
        ("kafka://a/t?acks=0", "use 1 or all"),
        (
            "kafka://a/t?linger.ms=soon",
            "'linger.ms' can't have this value",
        ),
        ("kafka://a/t?properties=/no/such", "can't be read"),
        (
            "kafka://a/t?enable.idempotence=false&max.in.flight=5",
            "loses the order of keys",
        ),
    ];
    for (url, expected) in cases {
        let error = gather(url, &[]).unwrap_err();
        assert_eq!(error.kind(), anyhub_core::ErrorKind::Config);
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
    let error = gather("kafka://a/t", &[("ANYHUB_KAFKA_SASL_PASWORD", "x")]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("did you mean ANYHUB_KAFKA_SASL_PASSWORD?"),
        "{error}"
    );
}
