//! Members that are stopped, or killed, from outside: each is a process of its own (C10; rows 12 and
//! 14 of the delivery checks).

use anyhub_core::{ConsumerOptions, Event, Hub, ProducerExt, ProducerOptions, TopicConfig};
use anyhub_kafka::{KafkaConfig, KafkaHub};
use anyhub_local::Kafka;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::HashSet,
    env,
    error::Error,
    io::{BufRead, BufReader, Write, stdout},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, time::sleep};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Where a child finds the broker and its topic.
const BROKER: &str = "ANYHUB_TEST_MEMBER_OF";
const GROUP: &str = "g";
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Ok(place) = env::var(BROKER) {
        return match runtime().and_then(|runtime| runtime.block_on(member(&place))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("member: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let needs = anyhub_local::kafka::requirements();
    let unmet: Vec<_> = needs.into_iter().filter(|need| !need.is_met()).collect();
    if !unmet.is_empty() {
        eprintln!("SKIPPED, Kafka can't run: {unmet:?}");
        return match env::var("CI") {
            Ok(_) => ExitCode::FAILURE,
            Err(_) => ExitCode::SUCCESS,
        };
    }
    let tests = [
        (
            "a_member_that_was_stopped_delivers_nothing_that_another_has",
            stopped as fn() -> Outcome<()>,
        ),
        ("members_that_are_killed_lose_nothing", killed),
    ];
    let tests = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test().map_err(|error| Failed::from(error.to_string()))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), tests.into()).exit_code()
}

fn runtime() -> Outcome<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(1).enable_all().build()?)
}

fn hub(bootstrap: &str) -> Outcome<KafkaHub> {
    // The shortest session that the broker allows.
    let config = KafkaConfig::new(bootstrap).property("session.timeout.ms", "6000");
    Ok(KafkaHub::new(config)?)
}

/// Reads slowly, an event at a time: says which, then acknowledges it.
async fn member(place: &str) -> Outcome<()> {
    let (bootstrap, topic) = place.split_once('/').ok_or("no place")?;
    let hub = hub(bootstrap)?;
    let options = ConsumerOptions::new()
        .group(GROUP)
        .commit_interval(Duration::from_millis(100));
    let mut consumer = hub.consumer(topic, options).await?;
    let acks = consumer.acks();
    loop {
        let batch = consumer.receive(1).await?;
        for delivery in &batch.deliveries {
            let mut out = stdout().lock();
            out.write_all(&delivery.event.payload)?;
            out.write_all(b"\n")?;
            out.flush()?;
        }
        sleep(Duration::from_millis(20)).await;
        acks.ack(&batch.tokens());
    }
}

/// A member in a process of its own, and what it says.
struct Member {
    process: Child,
    said: mpsc::Receiver<String>,
}

impl Member {
    fn start(place: &str) -> Outcome<Self> {
        let mut process = Command::new(env::current_exe()?)
            .env(BROKER, place)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take().ok_or("no stdout")?;
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.for_each(|line| drop(say.send(line)));
        });
        Ok(Self { process, said })
    }

    fn next(&self, within: Duration) -> Option<String> {
        self.said.recv_timeout(within).ok()
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        let pid = Pid::from_child(&self.process);
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It has ended, or it does now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn publish(hub: &KafkaHub, topic: &str, events: std::ops::Range<u32>) -> Outcome<()> {
    let producer = hub.producer(topic, ProducerOptions::new()).await?;
    let events = events.map(|nth| Event::new(nth.to_string()).with_key("k"));
    for outcome in producer.publish(events.collect()).await? {
        outcome?;
    }
    Ok(producer.close().await?)
}

fn set_up(runtime: &Runtime, events: u32) -> Outcome<(Arc<Kafka>, KafkaHub, String)> {
    let kafka = Arc::new(Kafka::builder().start()?);
    let hub = hub(&kafka.bootstrap())?;
    runtime.block_on(async {
        hub.admin().create_topic(&TopicConfig::new("t")).await?;
        publish(&hub, "t", 0..events).await
    })?;
    let place = format!("{}/t", kafka.bootstrap());
    Ok((kafka, hub, place))
}

fn stopped() -> Outcome<()> {
    let runtime = runtime()?;
    let (_kafka, hub, place) = set_up(&runtime, 200)?;
    let first = Member::start(&place)?;
    for due in 0..10 {
        let said = first.next(PATIENCE).ok_or("the first member is silent")?;
        assert_eq!(said, due.to_string());
    }
    // Most of the 200 are fetched and wait in its memory.
    first.signal(Signal::STOP)?;
    let (mut second, taken) = runtime.block_on(async {
        let mut second = hub
            .consumer("t", ConsumerOptions::new().group(GROUP))
            .await?;
        let acks = second.acks();
        let mut taken = HashSet::new();
        let deadline = Instant::now() + PATIENCE;
        while !taken.contains("199") {
            let left = deadline.saturating_duration_since(Instant::now());
            let batch = tokio::time::timeout(left, second.receive(50)).await??;
            acks.ack(&batch.tokens());
            for delivery in batch.deliveries {
                taken.insert(String::from_utf8_lossy(&delivery.event.payload).into_owned());
            }
        }
        second.commit().await?;
        Outcome::Ok((second, taken))
    })?;
    // What it said before it was stopped.
    while first.next(Duration::ZERO).is_some() {}
    first.signal(Signal::CONT)?;
    runtime.block_on(publish(&hub, "t", 200..210))?;
    if let Some(said) = first.next(Duration::from_secs(4)) {
        let whose = if taken.contains(&said) {
            "taken"
        } else {
            "new"
        };
        return Err(format!("after its pause the first member delivered {said}, {whose}").into());
    }
    // It is alive: what the second has not seen comes to it when that one goes.
    runtime.block_on(async {
        second.close().await?;
        Outcome::Ok(())
    })?;
    for due in 200..210 {
        let said = first
            .next(PATIENCE)
            .ok_or("the first member never came back")?;
        assert_eq!(said, due.to_string());
    }
    runtime.block_on(hub.close())?;
    Ok(())
}

fn killed() -> Outcome<()> {
    const EVENTS: u32 = 150;
    let runtime = runtime()?;
    let (_kafka, hub, place) = set_up(&runtime, EVENTS)?;
    let mut seen = HashSet::new();
    let mut last = None;
    for life in 0..4 {
        let member = Member::start(&place)?;
        let mut said_here = 0;
        while seen.len() < EVENTS as usize && (said_here < 35 || life == 3) {
            let said = member.next(PATIENCE).ok_or("a member is silent")?;
            let nth: u32 = said.parse()?;
            // Where it resumes is never past what nobody has handled.
            let next = seen.len() as u32;
            if nth > next {
                return Err(
                    format!("life {life} went on at {nth}, with {next} never handled").into(),
                );
            }
            if last.is_some_and(|last| nth > last + 1) {
                return Err(format!("{nth} came after {last:?}").into());
            }
            last = Some(nth);
            seen.insert(nth);
            said_here += 1;
        }
        // With -9, between a delivery and its ack, or later.
        member.signal(Signal::KILL)?;
        last = None;
    }
    assert_eq!(seen.len(), EVENTS as usize, "lost");
    runtime.block_on(hub.close())?;
    Ok(())
}
