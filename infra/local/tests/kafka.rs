//! A real Kafka through the library, as a test or a benchmark uses it.
#![allow(clippy::unwrap_used, missing_docs)]

mod processes;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhub_local::{Error, Kafka, kafka::Phase};
use processes::{await_that, is_gone};

fn can_run(test: &str) -> bool {
    processes::can_run(test, anyhub_local::kafka::requirements())
}

#[test]
fn a_broker_starts_dies_comes_back_and_stops() {
    if !can_run("a_broker_starts_dies_comes_back_and_stops") {
        return;
    }
    let kafka = Kafka::builder().start().unwrap();
    let broker = kafka.broker(0).unwrap();
    let (data, pid) = (kafka.data_dir().unwrap(), broker.pid().unwrap());
    assert_eq!(kafka.brokers(), 1);
    assert_eq!(kafka.version(), "4.3.1");
    assert_eq!(
        kafka.url(),
        format!("kafka://127.0.0.1:{}", broker.address().port())
    );
    assert!(
        fs::read_to_string(broker.log())
            .unwrap()
            .contains("Kafka Server started")
    );
    assert!(
        kafka
            .broker(1)
            .unwrap_err()
            .to_string()
            .contains("counted from 0")
    );

    kafka.kill(0).unwrap();
    assert!(is_gone(pid) && !broker.is_running());
    assert!(kafka.pause(0).unwrap_err().to_string().contains("is down"));
    kafka.kill(0).unwrap();
    kafka.restart(0).unwrap();
    let pid = broker.pid().unwrap();
    // Frozen, it still has to end.
    kafka.pause(0).unwrap();
    kafka.stop();
    assert!(is_gone(pid) && !data.exists());
    assert!(
        kafka
            .restart(0)
            .unwrap_err()
            .to_string()
            .contains("stopped")
    );
    kafka.stop();
}

#[test]
fn a_broker_that_cannot_start_says_why_and_leaves_its_log() {
    if !can_run("a_broker_that_cannot_start_says_why_and_leaves_its_log") {
        return;
    }
    let started = Instant::now();
    let error = Kafka::builder()
        .config("num.io.threads", "tulip")
        .start()
        .unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "it waited for a broker that was gone"
    );
    let text = error.to_string();
    let log = error.log().unwrap();
    assert!(matches!(error, Error::Ended { .. }), "{text}");
    assert!(
        text.contains("tulip") && text.contains("num.io.threads"),
        "{text}"
    );
    assert!(
        text.contains(log.to_str().unwrap()) && !text.contains('\n'),
        "{text}"
    );
    assert!(error.log_tail().unwrap().contains("ConfigException"));
    assert!(fs::read_to_string(log).unwrap().contains("tulip"));
    // Of the temporary folder only the logs have stayed.
    let root = log.parent().unwrap().parent().unwrap();
    assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_broker_that_ends_by_itself_is_told_and_leaves_its_log() {
    if !can_run("a_broker_that_ends_by_itself_is_told_and_leaves_its_log") {
        return;
    }
    let kafka = Kafka::builder().start().unwrap();
    assert!(kafka.failure().is_none());
    let broker = kafka.broker(0).unwrap();
    let (pid, log) = (broker.pid().unwrap(), broker.log().to_owned());
    // From outside: nobody asked this library for it.
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    await_that("the death is noticed", || kafka.failure().is_some());
    let failure = kafka.failure().unwrap().to_string();
    assert!(
        failure.contains("Kafka broker 0 ended with signal 9"),
        "{failure}"
    );
    drop(kafka);
    assert!(log.exists());
    fs::remove_dir_all(log.parent().unwrap().parent().unwrap()).unwrap();
}

fn client_port(data: &Path) -> u16 {
    let properties = fs::read_to_string(data.join("broker-0/server.properties")).unwrap();
    let line = properties
        .lines()
        .find_map(|l| l.strip_prefix("advertised.listeners="))
        .unwrap();
    let client = line.split(',').next().unwrap();
    client.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_port_taken_meanwhile_is_replaced_and_given_data_stays() {
    if !can_run("a_port_taken_meanwhile_is_replaced_and_given_data_stays") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken: Arc<Mutex<Vec<TcpListener>>> = Arc::default();
    let phases: Arc<Mutex<Vec<Phase>>> = Arc::default();
    let (thief, seen, inside) = (Arc::clone(&taken), Arc::clone(&phases), data.clone());
    let kafka = Kafka::builder()
        .data_dir(&data)
        .on_progress(move |phase| {
            let mut taken = thief.lock().unwrap();
            if matches!(phase, Phase::Starting { .. }) && taken.is_empty() {
                taken.push(TcpListener::bind(("127.0.0.1", client_port(&inside))).unwrap());
            }
            seen.lock().unwrap().push(phase);
        })
        .start()
        .unwrap();
    let stolen = taken.lock().unwrap()[0].local_addr().unwrap();
    assert!(phases.lock().unwrap().contains(&Phase::PickingPorts));
    assert_ne!(kafka.broker(0).unwrap().address(), stolen);
    let text = Kafka::builder()
        .data_dir(&data)
        .start()
        .unwrap_err()
        .to_string();
    assert!(text.contains("in use by another"), "{text}");
    drop(kafka);

    let text = Kafka::builder()
        .brokers(2)
        .data_dir(&data)
        .start()
        .unwrap_err()
        .to_string();
    assert!(text.contains("is of 1 broker(s)"), "{text}");
    phases.lock().unwrap().clear();
    let seen = Arc::clone(&phases);
    let again = Kafka::builder()
        .data_dir(&data)
        .port(kafka_port())
        .on_progress(move |phase| seen.lock().unwrap().push(phase))
        .start()
        .unwrap();
    assert!(
        !phases.lock().unwrap().contains(&Phase::Formatting),
        "the data was found again"
    );
    assert_eq!(again.data_dir().unwrap(), data);
}

fn kafka_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
