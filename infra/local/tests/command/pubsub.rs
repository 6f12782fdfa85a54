//! `up pubsub`.

use super::*;

#[test]
fn mistakes_about_pubsub_are_told_in_a_line() {
    for (arguments, hint) in [
        (&["up", "pubsb"][..], "did you mean pubsub?"),
        (&["up", "pubsub", "--brokers", "1"], "not for pubsub"),
        (&["up", "pubsub", "--group", "g"], "not for pubsub"),
        (&["up", "pubsub", "--logs", "x"], "writes none"),
        (&["up", "pubsub", "--with", "pstst"], "did you mean pstest?"),
        (
            &["up", "pubsub", "--with", "pstest", "--limits"],
            "not for pstest",
        ),
        (&["up", "pubsub", "--port", "0"], "65535"),
    ] {
        refused(arguments, hint);
    }
}

#[test]
fn pubsub_answers_where_it_says_until_it_is_told_to_stop() {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let (mut child, said) = described(&["pubsub", "--limits"]);
    assert_eq!(said["limits"], true);
    let endpoint = said["endpoint"].as_str().unwrap();
    assert_eq!(said["url"], format!("pubsub://local?endpoint={endpoint}"));
    let address = endpoint.strip_prefix("http://").unwrap();
    assert_eq!(said["emulator_host"], address);
    let mut stream = TcpStream::connect(address).unwrap();
    let ask = "GET /v1/projects/local/topics/tweets HTTP/1.0\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("404 Not Found") && answer.contains("\"NOT_FOUND\""),
        "{answer}"
    );

    until_it_is_told_to_stop("pubsub", &mut child, address);
}

#[test]
fn what_pstest_cannot_is_told() {
    let help = command().args(["up", "--help"]).output().unwrap();
    let help = text(&help.stdout);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("which a seek ends"), "{help}");
    let needs = anyhub_local::pstest::requirements();
    if !processes::can_run("what_pstest_cannot_is_told", needs) {
        return;
    }
    let mut child = command()
        .args(["up", "pubsub", "--with", "pstest"])
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut url)
        .unwrap();
    interrupt(&mut child);
    let mut told = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut told).unwrap();
    assert!(told.contains("a seek ends pstest"), "{told}");
}

#[test]
fn the_url_of_pubsub_can_be_copied_into_a_shell() {
    can_be_copied("pubsub", |url| url.replacen('?', "/tweets?", 1));
}

#[test]
fn pstest_answers_where_it_says_until_it_is_told_to_stop() {
    let needs = anyhub_local::pstest::requirements();
    if !processes::can_run(
        "pstest_answers_where_it_says_until_it_is_told_to_stop",
        needs,
    ) {
        return;
    }
    let (mut child, said) = described(&["pubsub", "--with", "pstest"]);
    assert_eq!(
        (&said["hub"], &said["server"]),
        (&"pubsub".into(), &"pstest".into())
    );
    let endpoint = said["endpoint"].as_str().unwrap();
    assert_eq!(said["url"], format!("pubsub://local?endpoint={endpoint}"));
    let address = endpoint.strip_prefix("http://").unwrap();
    assert_eq!(said["emulator_host"], address);
    let log = PathBuf::from(said["log"].as_str().unwrap());
    assert!(log.exists());
    let pid = u32::try_from(said["pid"].as_u64().unwrap()).unwrap();
    until_it_is_told_to_stop("pubsub", &mut child, address);
    assert!(is_gone(pid));
    assert!(!log.exists());
}
