use super::*;

/// Made by Python 3's hmac, base64 and urllib.parse.
#[test]
fn signs_as_documented() {
    let signed = sign(
        "amqps://N.servicebus.windows.net/Tweets",
        "root",
        "secret",
        1_800_000_000,
    );
    assert_eq!(
        signed,
        concat!(
            "SharedAccessSignature sr=amqps%3a%2f%2fn.servicebus.windows.net%2ftweets",
            "&sig=wjMLtp%2Fix9scURpTijZSvQ9wKWfYhWOmNKmLVemnab4%3D&se=1800000000&skn=root"
        )
    );
}

#[test]
fn the_url_and_the_connection_string_have_to_agree() {
    let text = "Endpoint=sb://n.example.com/;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=t";
    let settings = EventHubsConfig::new().connection_string(text);
    let access = Access::find(&settings).unwrap();
    assert_eq!(access.host, "n.example.com");
    assert!(access.check("T").is_ok());
    let refused = access.check("other").unwrap_err();
    assert!(
        refused.to_string().contains("without EntityPath"),
        "{refused}"
    );
    let error = Access::find(&settings.namespace("m.example.com")).unwrap_err();
    let line = error.to_string();
    let says = "is for n.example.com, and the URL names m.example.com";
    assert!(line.contains(says), "{line}");
    // With the namespace left out, it would be used where nobody meant it.
    assert!(!line.contains("out of the URL"), "{line}");
}

const OF_N: &str = "Endpoint=sb://n.example.com/;SharedAccessKeyName=a;SharedAccessKey=hunter2";

fn in_environment(settings: &EventHubsConfig, variable: &str) -> Result<Access> {
    Access::find_by(settings, Some(variable.to_owned()))
}

#[test]
fn the_variable_counts_where_its_own_namespace_is_named_or_none() {
    let of_n = EventHubsConfig::new().namespace("N.example.com");
    let here = of_n.clone().endpoint("amqp://127.0.0.1:1");
    for settings in [EventHubsConfig::new(), of_n, here] {
        let access = in_environment(&settings, OF_N).unwrap();
        assert_eq!(access.host, "n.example.com");
        let Signs::Shared(Signer::Key { key, .. }) = access.signs else {
            panic!("it has a key");
        };
        assert_eq!(key.expose(), "hunter2");
    }
    for named in ["m.example.com", "localhost"] {
        for endpoint in [None, Some("amqps://10.0.0.1:5671")] {
            let mut settings = EventHubsConfig::new().namespace(named);
            settings.endpoint = endpoint.map(str::to_owned);
            let error = in_environment(&settings, OF_N).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let line = error.to_string();
            let says = format!(
                "EVENTHUBS_CONNECTION_STRING is for n.example.com, and the URL names {named}"
            );
            assert!(line.contains(&says) && line.contains("unset it"), "{line}");
            assert!(!line.contains("out of the URL"), "{line}");
        }
    }
}

#[test]
fn a_server_on_this_machine_gets_no_key_of_another_namespace() {
    for endpoint in [
        "amqp://127.0.0.1:1",
        "amqps://localhost:1",
        "amqp://[::1]:1",
    ] {
        let settings = EventHubsConfig::new()
            .namespace("localhost")
            .endpoint(endpoint);
        let access = in_environment(&settings, OF_N).unwrap();
        let expected = Access::find_by(&settings, None).unwrap();
        assert_eq!(format!("{access:?}"), format!("{expected:?}"));
        let Signs::Shared(Signer::Key { key, .. }) = access.signs else {
            panic!("the emulator's key");
        };
        assert_eq!(key.expose(), EMULATOR.1);
    }
}

#[test]
fn an_empty_variable_is_wrong_only_where_it_is_needed() {
    let settings = EventHubsConfig::new().namespace("localhost");
    for text in ["", " \n"] {
        let here = settings.clone().endpoint("amqp://127.0.0.1:1");
        let access = in_environment(&here, text).unwrap();
        assert!(matches!(access.signs, Signs::Shared(_)));
        let access = in_environment(&settings, text).unwrap();
        assert!(matches!(access.signs, Signs::Entra(_)));
        let error = in_environment(&EventHubsConfig::new(), text).unwrap_err();
        assert!(error.to_string().contains("is empty"), "{error}");
    }
}

#[test]
fn the_settings_endpoint_stands_above_the_connection_strings() {
    let find = |host: &str, endpoint: Option<&str>| {
        let keys = "SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true";
        let mut settings =
            EventHubsConfig::new().connection_string(format!("Endpoint=sb://{host};{keys}"));
        settings.endpoint = endpoint.map(str::to_owned);
        Access::find(&settings).map(|access| access.endpoint.unwrap())
    };
    assert_eq!(find("localhost:7", None).unwrap(), "amqp://localhost:7");
    let named = "amqps://n.example.com:5";
    for host in ["localhost:7", "n.example.com"] {
        assert_eq!(find(host, Some(named)).unwrap(), named);
    }
    let refused = find("n.example.com", None).unwrap_err();
    assert!(refused.to_string().contains("in the clear"), "{refused}");
}

#[test]
fn an_identity_stands_above_the_environment_and_needs_its_namespace() {
    let settings = EventHubsConfig::new().credential(Identity::AzureCli);
    let error = Access::find(&settings).unwrap_err();
    assert!(error.to_string().contains("no namespace"), "{error}");
    let access = Access::find(&settings.namespace("n.example.com")).unwrap();
    assert!(matches!(access.signs, Signs::Entra(_)));
    let local = EventHubsConfig::new()
        .namespace("localhost")
        .endpoint("amqp://localhost:1");
    let access = Access::find(&local).unwrap();
    assert!(matches!(access.signs, Signs::Shared(_)));
}

#[tokio::test]
async fn an_old_signature_is_denied() {
    let signed = |until: i64| {
        let text =
            format!("Endpoint=sb://h;SharedAccessSignature=SharedAccessSignature sr=x&se={until}");
        Access::find(&EventHubsConfig::new().connection_string(text)).unwrap()
    };
    let refused = signed(1_000)
        .token("producer", "amqps://h/t")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    let in_2100 = signed(4_102_444_800)
        .token("producer", "amqps://h/t")
        .await
        .unwrap();
    assert_eq!(in_2100.expires.unix_timestamp(), 4_102_444_800);
}

#[test]
fn the_sdks_clients_are_told_the_same() {
    use azure_messaging_eventhubs::ConnectionString as Theirs;
    let host = "Endpoint=sb://h.example.com/;";
    for signs in [
        "SharedAccessKeyName=a;SharedAccessKey=b=",
        "SharedAccessSignature=SharedAccessSignature sr=x&sig=y%3D&se=4102444800&skn=z",
    ] {
        let settings = EventHubsConfig::new().connection_string(format!("{host}{signs}"));
        let access = Access::find(&settings).unwrap();
        let OfClient::Shared(text) = access.of_client("t") else {
            panic!("no identity was named");
        };
        let theirs: Theirs = text.expose().parse().unwrap();
        let whole = format!("{host}{signs};EntityPath=t")
            .parse::<Theirs>()
            .unwrap();
        assert!(theirs == whole);
    }
}

#[test]
fn where_a_string_of_no_use_stands_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connection-string");
    let settings = EventHubsConfig::new().connection_string_file(&file);
    let refused = |settings: &EventHubsConfig, variable: &str, says: [&str; 2]| {
        let found = Access::find_by(settings, Some(variable.to_owned()));
        let error = found.unwrap_err().to_string();
        assert!(says.iter().all(|says| error.contains(says)), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    };
    let whole = "Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=hunter2";
    let quoted = format!("\"{whole}\"");
    let name = "connection_string_file";
    for (text, says) in [
        (String::new(), "is empty"),
        (quoted.clone(), "in quotes"),
        (" ".repeat(100_000), "larger than"),
    ] {
        std::fs::write(&file, text).unwrap();
        refused(&settings, "", [name, says]);
    }
    std::fs::write(&file, format!("\u{feff}{whole}\r\n")).unwrap();
    assert_eq!(Access::find_by(&settings, None).unwrap().host, "h");
    refused(&EventHubsConfig::new(), "", [VARIABLE, "is empty"]);
    refused(&EventHubsConfig::new(), &quoted, [VARIABLE, "in quotes"]);
    // The string itself in the place of a file's name, and what is no file.
    for (path, says) in [
        (whole, "can't be read"),
        ("/dev/zero", "no regular file"),
        ("/", "no regular file"),
    ] {
        let settings = EventHubsConfig::new().connection_string_file(path);
        refused(&settings, "", [name, says]);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let settings = EventHubsConfig::new().connection_string_file("/nowhere/to/be/found");
    let error = Access::find(&settings).unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/to/be/found"),
        "{error}"
    );
}
