//! `kill -9` of one of three members, again and again.

use crate::{
    Outcome, STREAM, config,
    events::{KEYS, Writer},
    hub,
    member::Line,
    server,
};
use anyhub_core::{Hub, TopicConfig};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

const SHARDS: u32 = 6;
const MEMBERS: usize = 3;

/// A line of a member's, or its end.
type Told = (usize, Option<Line>);

struct Book {
    owned: HashMap<String, usize>,
    seen: HashSet<u64>,
    last_of_key: HashMap<u64, u64>,
    again: u64,
    out_of_order: u64,
    /// Shards whose owner was killed, and by which victim.
    orphans: HashSet<String>,
}

pub(crate) async fn run(times: u32, lease: Duration, rate: u32, seed: u64) -> Outcome {
    println!(
        "kill: {MEMBERS} processes, {SHARDS} shards, {rate} events/s, lease {lease:?}, seed {seed}"
    );
    let kinesis = server()?;
    let hub = hub(config(&kinesis.endpoint()))?;
    let topic = TopicConfig::new(STREAM).partitions(SHARDS);
    hub.admin().create_topic(&topic).await?;
    let folder = tempfile::tempdir()?;
    let leases = folder.path().join("leases.db");
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut members = Vec::new();
    for nth in 0..MEMBERS {
        members.push(start(nth, &kinesis.endpoint(), &leases, lease, &tell)?);
    }
    let mut book = Book {
        owned: HashMap::new(),
        seen: HashSet::new(),
        last_of_key: HashMap::new(),
        again: 0,
        out_of_order: 0,
        orphans: HashSet::new(),
    };
    let writer = Writer::start(&hub, rate).await?;
    let patience = lease * 6 + Duration::from_secs(20);
    wait(
        &mut told,
        &mut book,
        patience,
        "every member to own shards",
        |book| {
            let owners: HashSet<_> = book.owned.values().collect();
            book.owned.len() == SHARDS as usize && owners.len() == MEMBERS
        },
    )
    .await?;
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut slowest = Duration::ZERO;
    let mut late = 0;
    for round in 1..=times {
        let pause = Duration::from_millis(rng.random_range(500..2_500));
        let until = Instant::now() + pause;
        drain(&mut told, &mut book, until).await;
        let victim = rng.random_range(0..MEMBERS);
        let before = book.again;
        members[victim].kill().await?;
        let killed = Instant::now();
        book.orphans = book
            .owned
            .iter()
            .filter(|(_, owner)| **owner == victim)
            .map(|(shard, _)| shard.clone())
            .collect();
        let orphans = book.orphans.len();
        wait(
            &mut told,
            &mut book,
            patience,
            "the shards to be taken over",
            |book| book.orphans.is_empty(),
        )
        .await?;
        let took = killed.elapsed();
        slowest = slowest.max(took);
        late += u32::from(took > lease * 2);
        members[victim] = start(victim, &kinesis.endpoint(), &leases, lease, &tell)?;
        let what = "the new member to get its share";
        wait(&mut told, &mut book, patience, what, |book| {
            book.owned.values().any(|owner| *owner == victim)
        })
        .await?;
        println!(
            "kill {round}: {orphans} shards taken over after {:.2} s; {} events came again",
            took.as_secs_f64(),
            book.again - before
        );
    }
    let written = writer.finish().await?;
    wait(
        &mut told,
        &mut book,
        patience,
        "every event to come",
        |book| book.seen.len() as u64 >= written,
    )
    .await
    .ok();
    for member in &mut members {
        member.kill().await?;
    }
    let lost = written - book.seen.len() as u64;
    println!(
        "kill: {times} kills, {written} events written, {lost} lost, {} out of order, {} came again, \
         taken over within {:.2} s at most (2 x lease: {:.2} s), {late} late",
        book.out_of_order,
        book.again,
        slowest.as_secs_f64(),
        (lease * 2).as_secs_f64(),
    );
    if lost > 0 || book.out_of_order > 0 || late > 0 {
        return Err("events were lost or out of order, or shards were taken over late".into());
    }
    Ok(())
}

impl Book {
    fn note(&mut self, (member, line): Told) -> Outcome {
        match line {
            // Killed, by us.
            None => {}
            Some(Line::Owns(shard)) => {
                self.orphans.remove(&shard);
                self.owned.insert(shard, member);
            }
            Some(Line::GaveUp(shard)) => {
                self.owned
                    .retain(|owned, owner| *owned != shard || *owner != member);
            }
            Some(Line::Event(number)) => {
                if !self.seen.insert(number) {
                    self.again += 1;
                    return Ok(());
                }
                // First occurrences of a key come in its order.
                let last = self.last_of_key.insert(number % KEYS, number);
                self.out_of_order += u64::from(last.is_some_and(|last| last > number));
            }
        }
        Ok(())
    }
}

fn start(
    nth: usize,
    endpoint: &str,
    leases: &Path,
    lease: Duration,
    tell: &mpsc::UnboundedSender<Told>,
) -> Outcome<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("member")
        .arg(endpoint)
        .arg(leases)
        .arg(lease.as_secs_f64().to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let out = child.stdout.take().ok_or("the member has no stdout")?;
    let tell = tell.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // A line that was cut off by the kill is none.
            if let Some(line) = Line::parse(&line) {
                tell.send((nth, Some(line))).ok();
            }
        }
        tell.send((nth, None)).ok();
    });
    Ok(child)
}

async fn drain(told: &mut mpsc::UnboundedReceiver<Told>, book: &mut Book, until: Instant) {
    while let Ok(Some(line)) =
        timeout(until.saturating_duration_since(Instant::now()), told.recv()).await
    {
        if let Err(error) = book.note(line) {
            eprintln!("kill: {error}");
        }
    }
}

async fn wait(
    told: &mut mpsc::UnboundedReceiver<Told>,
    book: &mut Book,
    patience: Duration,
    what: &str,
    enough: impl Fn(&Book) -> bool,
) -> Outcome {
    let until = Instant::now() + patience;
    while !enough(book) {
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, told.recv()).await {
            Ok(Some(line)) => book.note(line)?,
            Ok(None) => return Err("every member has ended".into()),
            Err(_) => return Err(format!("waited {patience:?} for {what}").into()),
        }
    }
    Ok(())
}
