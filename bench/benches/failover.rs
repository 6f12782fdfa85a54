//! Kills the brokers of a real Kafka cluster in turn, with -9, under a steady load, brings each one
//! back, and verifies every event: `make failover`, about five minutes and a half.
//!
//! A kill has hit when events that were in flight then had to wait for another leader. The last line
//! is `failover kills 10 hit 10 first_ack_ms 3512 lost 0 order 0 duplicates 0 ...`; `first_ack_ms` is
//! the longest time from a kill until every partition had acknowledged an event submitted after it.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use anyhub::{
    Consumer, ConsumerOptions, Partition, Pending, Producer, ProducerOptions, Retention,
    TopicConfig,
};
use anyhub_bench::{
    keys::KeySpace,
    pacing::Schedule,
    payload::{Encoder, Header, decode},
    verify::{Findings, Guarantee, Ledger, Outcome, Place, Promise, verdict},
};
use anyhub_local::Kafka;
use clap::Parser;
use rand_pcg::{Pcg64, rand_core::SeedableRng};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

/// Kills brokers under load and verifies what came through.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// How many kills, each of the next broker.
    #[arg(long, default_value_t = 10)]
    kills: u32,
    /// Seconds from one kill to the next; the broker is brought back after a third of them.
    #[arg(long, default_value_t = 30)]
    every: u64,
    /// Events per second.
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Partitions, three copies of each.
    #[arg(long, default_value_t = 6)]
    partitions: u32,
    /// The seed of the keys.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Given by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const BROKERS: usize = 3;
const KEYS: u32 = 10_000;
const RUN: u64 = 0x6661_696c;
const TEXT: &str = "the sky over the harbour was the colour of a good day";
/// Within this every partition acknowledges something submitted after a kill.
const FIRST_ACK: Duration = Duration::from_secs(6);
/// An event that was in flight at a kill was held up by it if it took at least this much longer.
const HELD: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime");
    match runtime.and_then(|runtime| runtime.block_on(run(args))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<bool> {
    eprintln!("seed {}; starting {BROKERS} brokers", args.seed);
    let kafka = spawn_blocking(|| Kafka::builder().brokers(BROKERS).start()).await??;
    let kafka = Arc::new(kafka);
    let hub = anyhub::connect(&kafka.url())?;
    let topic = TopicConfig::new("failover")
        .partitions(args.partitions)
        .replication(BROKERS as u16)
        .retention(Retention::new().bytes(1 << 30));
    hub.admin().create_topic(&topic).await?;

    let seconds = u64::from(args.kills) * args.every + 10;
    let events = u64::from(args.rate) * seconds;
    let plan = Arc::new(Plan::new(events, args.seed));
    let observed = Arc::new(Observed::default());

    let consumer = hub
        .consumer("failover", ConsumerOptions::new().group("failover"))
        .await?;
    let (done, finished) = watch::channel(false);
    let consuming = tokio::spawn(consume(consumer, plan.clone(), finished));

    let producer = hub.producer("failover", ProducerOptions::new()).await?;
    let publishing = tokio::spawn(publish(
        producer.clone(),
        plan.clone(),
        observed.clone(),
        args.clone(),
    ));

    for nth in 0..args.kills {
        sleep(Duration::from_secs(if nth == 0 { 10 } else { 0 })).await;
        let begun = Instant::now();
        let broker = nth as usize % BROKERS;
        observed.kill();
        kafka.kill(broker)?;
        sleep(Duration::from_secs(args.every / 3)).await;
        let back = kafka.clone();
        spawn_blocking(move || back.restart(broker)).await??;
        sleep(Duration::from_secs(args.every).saturating_sub(begun.elapsed())).await;
        let kill = observed.judge(args.partitions)?;
        println!(
            "kill {} broker {broker} in_flight {} held {} first_ack_ms {}",
            nth + 1,
            kill.in_flight,
            kill.held,
            kill.first_ack.as_millis()
        );
        observed.keep(kill);
    }
    publishing.await??;
    producer.close().await?;
    done.send_replace(true);
    consuming.await??;
    hub.close().await?;
    let all = plan.ledger.finish(|key| plan.name(key));
    Ok(report(&observed.kills(), &all))
}

/// Which key each event has, and what became of it.
struct Plan {
    keys: KeySpace,
    order: Vec<u32>,
    ledger: Ledger,
}

impl Plan {
    fn new(events: u64, seed: u64) -> Self {
        let keys = KeySpace::new(KEYS, 1.05, seed);
        let mut random = Pcg64::seed_from_u64(seed);
        let share = &keys.shares(1)[0];
        let order: Vec<u32> = (0..events).map(|_| share.draw(&mut random)).collect();
        let mut counts = vec![0; KEYS as usize];
        for &key in &order {
            counts[key as usize] += 1;
        }
        Self {
            keys,
            order,
            ledger: Ledger::new(RUN, &counts),
        }
    }

    fn name(&self, key: u32) -> String {
        String::from_utf8_lossy(self.keys.name(key).unwrap_or_default()).into_owned()
    }
}

/// One batch on its way: its ids, and when it was submitted.
type Sent = (Vec<(u32, u64)>, Instant, Pending);

async fn publish(
    producer: Arc<dyn Producer>,
    plan: Arc<Plan>,
    observed: Arc<Observed>,
    args: Args,
) -> Result<()> {
    let (sent, pendings) = mpsc::unbounded_channel();
    let acking = tokio::spawn(resolve(pendings, plan.clone(), observed.clone()));
    let start = Instant::now();
    let mut schedule = Schedule::new(start.into(), f64::from(args.rate), plan.order.len() as u64);
    let mut next = vec![0u64; KEYS as usize];
    let mut encoder = Encoder::default();
    while let Some(due) = schedule.next(100).await {
        let mut ids = Vec::with_capacity(due.count as usize);
        for number in due.first..due.first + due.count {
            let key = plan.order[number as usize];
            let sequence = next[key as usize];
            next[key as usize] += 1;
            let now = start.elapsed().as_nanos() as u64;
            let header = Header {
                run: RUN,
                key,
                producer: 0,
                incarnation: 0,
                phase: 2,
                sequence,
                intended_ns: schedule.due_after(number).as_nanos() as u64,
                actual_ns: now,
            };
            let name = plan.keys.name(key).context("no such key")?;
            encoder.add(&header, name, TEXT, 0, &[]);
            plan.ledger.sent(key, sequence);
            ids.push((key, sequence));
        }
        observed.submitted(ids.len());
        let at = Instant::now();
        let pending = producer.submit(encoder.batch()).await?;
        sent.send((ids, at, pending))
            .context("the other side ended")?;
    }
    drop(sent);
    acking.await?
}

/// Notes how each send ended, in whatever order they do.
async fn resolve(
    mut pendings: mpsc::UnboundedReceiver<Sent>,
    plan: Arc<Plan>,
    observed: Arc<Observed>,
) -> Result<()> {
    let mut waiting = JoinSet::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            sent = pendings.recv(), if open => match sent {
                Some((ids, at, pending)) => {
                    waiting.spawn(async move { (ids, at, pending.await) });
                }
                None => open = false,
            },
            Some(resolved) = waiting.join_next() => {
                let (ids, at, outcomes) = resolved?;
                let now = Instant::now();
                for ((key, sequence), outcome) in ids.into_iter().zip(outcomes) {
                    let partition = outcome.as_ref().ok().and_then(|receipt| receipt.partition.clone());
                    observed.resolved(at, now, partition);
                    let outcome = match outcome {
                        Ok(receipt) => Outcome::Acked(
                            receipt
                                .partition
                                .zip(receipt.position)
                                .map(|(partition, position)| Place::of(&partition, &position)),
                        ),
                        Err(error) if error.is_indeterminate() => Outcome::Indeterminate,
                        Err(_) => Outcome::Failed,
                    };
                    plan.ledger.resolved(key, sequence, outcome);
                }
            }
        }
    }
    Ok(())
}

/// Receives until all that was acknowledged is here, or nothing more comes for a minute.
async fn consume(
    mut consumer: Box<dyn Consumer>,
    plan: Arc<Plan>,
    mut finished: watch::Receiver<bool>,
) -> Result<()> {
    let acks = consumer.acks();
    let mut over = false;
    loop {
        if over && plan.ledger.outstanding() == 0 {
            break;
        }
        let batch = tokio::select! {
            changed = finished.changed(), if !over => {
                changed?;
                over = true;
                continue;
            }
            batch = timeout(Duration::from_secs(60), consumer.receive(1_000)) => match batch {
                Ok(batch) => batch?,
                Err(_) if over => break,
                Err(_) => continue,
            },
        };
        for delivery in &batch.deliveries {
            match decode(&delivery.event, &plan.keys) {
                Ok(event) => {
                    plan.ledger
                        .delivered(&event.header, &delivery.partition, &delivery.position);
                }
                Err((damage, header)) => plan.ledger.damaged(
                    damage,
                    header.as_ref(),
                    &delivery.partition,
                    &delivery.position,
                ),
            }
        }
        acks.ack(&batch.tokens());
    }
    Ok(consumer.close().await?)
}

/// What is seen around the kills.
#[derive(Default)]
struct Observed(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    in_flight: usize,
    now: Option<Kill>,
    kills: Vec<Kill>,
}

#[derive(Clone)]
struct Kill {
    at: Instant,
    /// Events submitted and not resolved at the kill.
    in_flight: usize,
    /// Those of them that had to wait for another leader.
    held: usize,
    /// Of each partition, when it first acknowledged an event submitted after the kill.
    first: HashMap<Partition, Duration>,
    /// The longest of these.
    first_ack: Duration,
}

impl Observed {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submitted(&self, events: usize) {
        self.lock().in_flight += events;
    }

    fn resolved(&self, at: Instant, now: Instant, partition: Option<Partition>) {
        let seen = &mut *self.lock();
        seen.in_flight -= 1;
        let Some(kill) = &mut seen.now else { return };
        if at <= kill.at {
            kill.held += usize::from(now >= kill.at + HELD);
        } else if let Some(partition) = partition {
            kill.first.entry(partition).or_insert(now - kill.at);
        }
    }

    fn kill(&self) {
        let seen = &mut *self.lock();
        seen.now = Some(Kill {
            at: Instant::now(),
            in_flight: seen.in_flight,
            held: 0,
            first: HashMap::new(),
            first_ack: Duration::ZERO,
        });
    }

    fn judge(&self, partitions: u32) -> Result<Kill> {
        let mut kill = self.lock().now.take().context("there was no kill")?;
        ensure!(
            kill.first.len() == partitions as usize,
            "{} of {partitions} partitions acknowledged nothing after the kill",
            partitions as usize - kill.first.len()
        );
        kill.first_ack = kill.first.values().max().copied().unwrap_or_default();
        Ok(kill)
    }

    fn keep(&self, kill: Kill) {
        self.lock().kills.push(kill);
    }

    fn kills(&self) -> Vec<Kill> {
        self.lock().kills.clone()
    }
}

fn report(kills: &[Kill], all: &Findings) -> bool {
    let hit = kills.iter().filter(|kill| kill.held > 0).count();
    let first_ack = kills
        .iter()
        .map(|kill| kill.first_ack)
        .max()
        .unwrap_or_default();
    let promise = Promise {
        guarantee: Guarantee::AtLeastOnce,
        idempotent: true,
    };
    let wrong = verdict(all, 0, promise);
    for why in &wrong {
        eprintln!("failover: {why}");
    }
    println!(
        "failover kills {} hit {hit} first_ack_ms {} sent {} acked {} failed {} indeterminate {} \
         lost {} order {} duplicates {} redelivered {}",
        kills.len(),
        first_ack.as_millis(),
        all.sent,
        all.acked,
        all.failed,
        all.indeterminate,
        all.lost,
        all.order_violations,
        all.duplicates_in_log,
        all.redelivered
    );
    let in_time = first_ack <= FIRST_ACK;
    if !in_time {
        eprintln!("failover: the first ack after a kill took more than {FIRST_ACK:?}");
    }
    wrong.is_empty() && all.duplicates_in_log == 0 && hit == kills.len() && in_time
}
