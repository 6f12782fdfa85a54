//! What the trait costs: raw rdkafka and anyhub in turns on one broker, with the same settings.
//!
//! `cargo bench -p anyhub-kafka --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000
//! --only publish --bootstrap HOST:PORT]`; without `--bootstrap` it starts a broker of its own.
//! Start-up is counted out: clocks run from the first event. The last lines are, for each size,
//! `ratio WHAT BYTES MEDIAN LOW HIGH` (events per second, anyhub by raw) and
//! `cpu_ns WHAT BYTES MEDIAN LOW HIGH` (CPU time added to each event), with 95% intervals.

mod pairs;

use anyhub_core::{
    ConsumerOptions, Event, Hub, Key, Pending, ProducerOptions, Retention, TopicConfig,
};
use anyhub_kafka::{KafkaConfig, KafkaHub};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use pairs::{Pairs, Run, Stopwatch};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{
        BaseRecord, FutureProducer, FutureRecord, Producer, ProducerContext, ThreadedProducer,
    },
};
use std::{
    collections::VecDeque,
    hint::black_box,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PARTITIONS: u32 = 4;
const KEYS: usize = 10_000;
/// Events of one `submit` or `receive`.
const BATCH: usize = 100;
/// Bytes in the topic that is read: enough for some seconds, little enough for memory.
const FILL: usize = 600 << 20;
/// What people write today is measured in every third round.
const TODAY: usize = 3;

struct Arguments {
    pairs: usize,
    seconds: f64,
    sizes: Vec<usize>,
    only: Option<String>,
    bootstrap: Option<String>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments {
        pairs: 15,
        seconds: 5.0,
        sizes: vec![100, 1_000],
        only: None,
        bootstrap: None,
    };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--pairs" => parsed.pairs = value.parse()?,
            "--seconds" => parsed.seconds = value.parse()?,
            "--sizes" => parsed.sizes = value.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?,
            "--only" => parsed.only = Some(value),
            "--bootstrap" => parsed.bootstrap = Some(value),
            other => {
                return Err(format!(
                    "no option {other}: there are --pairs, --seconds, --sizes, --only, --bootstrap"
                )
                .into());
            }
        }
    }
    if parsed.pairs == 0 || parsed.sizes.is_empty() || parsed.seconds <= 0.0 {
        return Err("--pairs, --sizes and --seconds must be above 0".into());
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let broker = match arguments.bootstrap {
        None => Some(anyhub_local::Kafka::builder().start()?),
        Some(_) => None,
    };
    let bootstrap = match (&arguments.bootstrap, &broker) {
        (Some(given), _) => given.clone(),
        (None, Some(broker)) => broker.bootstrap(),
        (None, None) => return Err("no broker".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut lines = Vec::new();
    for &size in &arguments.sizes {
        let bench = Bench {
            runtime: &runtime,
            bootstrap: &bootstrap,
            hub: KafkaHub::new(KafkaConfig::new(&bootstrap))?,
            payload: Bytes::from(vec![b'x'; size]),
            keys: (0..KEYS).map(|nth| format!("user-{nth}")).collect(),
            time: Duration::from_secs_f64(arguments.seconds),
        };
        let wanted = |what| arguments.only.as_deref().is_none_or(|only| only == what);
        if wanted("publish") {
            bench.compare("publish", size, arguments.pairs, &mut lines, &mut Publish)?;
        }
        if wanted("receive") {
            let mut receive = Receive::fill(&bench)?;
            bench.compare("receive", size, arguments.pairs, &mut lines, &mut receive)?;
        }
        runtime.block_on(bench.hub.close())?;
    }
    lines.iter().for_each(|line| println!("{line}"));
    drop(broker);
    Ok(())
}

/// Three ways to do one thing.
trait Ways {
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn today(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn name_of_today(&self) -> &'static str;
}

struct Bench<'a> {
    runtime: &'a Runtime,
    bootstrap: &'a str,
    hub: KafkaHub,
    payload: Bytes,
    keys: Vec<String>,
    time: Duration,
}

impl Bench<'_> {
    fn compare(
        &self,
        what: &str,
        size: usize,
        rounds: usize,
        lines: &mut Vec<String>,
        ways: &mut impl Ways,
    ) -> Result<()> {
        let mut pairs = Pairs::new(format!("{what} {size}"));
        let mut today = Pairs::new(format!("{what} {size}"));
        // Once unmeasured: caches, page cache, the broker's compiler.
        ways.raw(self)?;
        ways.ours(self)?;
        for round in 0..rounds {
            let (raw, ours) = if round % 2 == 0 {
                let raw = ways.raw(self)?;
                (raw, ways.ours(self)?)
            } else {
                let ours = ways.ours(self)?;
                (ways.raw(self)?, ours)
            };
            eprintln!(
                "{what} {size} B, pair {}: raw {:.0}/s {:.0} ns, anyhub {:.0}/s {:.0} ns",
                round + 1,
                raw.rate(),
                raw.cpu_ns(),
                ours.rate(),
                ours.cpu_ns()
            );
            pairs.push(raw, ours);
            if round % TODAY == 0 {
                let theirs = ways.today(self)?;
                eprintln!(
                    "{what} {size} B, {}: {:.0}/s {:.0} ns",
                    ways.name_of_today(),
                    theirs.rate(),
                    theirs.cpu_ns()
                );
                today.push(theirs, ours);
            }
        }
        println!("anyhub by {}: {}", ways.name_of_today(), today.ratio());
        lines.push(pairs.ratio());
        lines.push(pairs.cpu_ns());
        Ok(())
    }

    fn topic(&self) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("overhead-{now}");
        // What is published is not read: let it go.
        let keeps = Retention::new().bytes(4 << 30);
        let config = TopicConfig::new(&name).partitions(PARTITIONS).retention(keeps);
        self.runtime.block_on(self.hub.admin().create_topic(&config))?;
        Ok(name)
    }

    fn delete(&self, topic: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.hub.admin().delete_topic(topic))?)
    }

    /// The settings that anyhub's producer has by default.
    fn producer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .set("message.max.bytes", "1048588")
            .set("queue.buffering.max.messages", "200000");
        config
    }

    /// The settings that anyhub's consumer has by default.
    fn consumer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap)
            .set("group.id", format!("raw-{:?}", Instant::now()))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "65536");
        config
    }
}

struct Publish;

/// Counts what was written.
struct Count(Arc<AtomicU64>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        if report.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Ways for Publish {
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let topic = bench.topic()?;
        let written = Arc::new(AtomicU64::new(0));
        let context = Count(written.clone());
        let producer: ThreadedProducer<_> = bench.producer_config().create_with_context(context)?;
        producer.client().fetch_metadata(Some(&topic), Duration::from_secs(10))?;
        let watch = Stopwatch::start();
        let mut sent = 0;
        while watch.elapsed() < bench.time {
            for _ in 0..BATCH {
                let key = &bench.keys[sent as usize % KEYS];
                let mut record = BaseRecord::to(&topic).payload(&bench.payload[..]).key(key.as_str());
                while let Err((error, back)) = producer.send(record) {
                    if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                        return Err(error.into());
                    }
                    record = back;
                    sleep(Duration::from_micros(200));
                }
                sent += 1;
            }
        }
        while written.load(Ordering::Relaxed) < sent {
            if watch.elapsed() > bench.time + Duration::from_secs(60) {
                return Err("raw rdkafka did not write everything".into());
            }
            sleep(Duration::from_millis(1));
        }
        let run = watch.stop(sent);
        drop(producer);
        bench.delete(&topic)?;
        Ok(run)
    }

    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let topic = bench.topic()?;
        let keys: Vec<Key> = bench.keys.iter().map(|key| Key::from(key.clone())).collect();
        let run = bench.runtime.block_on(async {
            let producer = bench.hub.producer(&topic, ProducerOptions::new()).await?;
            let mut under_way: VecDeque<Pending> = VecDeque::new();
            let (mut sent, mut written) = (0_u64, 0_u64);
            let watch = Stopwatch::start();
            let count = async |pending: Pending| pending.await.iter().filter(|it| it.is_ok()).count() as u64;
            while watch.elapsed() < bench.time {
                let batch = (0..BATCH as u64)
                    .map(|nth| {
                        let key = keys[(sent + nth) as usize % KEYS].clone();
                        Event::new(bench.payload.clone()).with_key(key)
                    })
                    .collect();
                under_way.push_back(producer.submit(batch).await?);
                sent += BATCH as u64;
                if under_way.len() > 1_500
                    && let Some(oldest) = under_way.pop_front()
                {
                    written += count(oldest).await;
                }
            }
            for pending in under_way {
                written += count(pending).await;
            }
            let run = watch.stop(sent);
            if written < sent {
                return Err(format!("anyhub wrote {written} of {sent}").into());
            }
            producer.close().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(run)
        })?;
        bench.delete(&topic)?;
        Ok(run)
    }

    fn today(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let topic = bench.topic()?;
        let producer: FutureProducer = bench.producer_config().create()?;
        producer.client().fetch_metadata(Some(&topic), Duration::from_secs(10))?;
        let run = bench.runtime.block_on(async {
            let mut under_way = FuturesUnordered::new();
            let (mut sent, mut written) = (0_u64, 0_u64);
            let watch = Stopwatch::start();
            while watch.elapsed() < bench.time {
                let key = &bench.keys[sent as usize % KEYS];
                let record = FutureRecord::to(&topic).payload(&bench.payload[..]).key(key.as_str());
                under_way.push(producer.send(record, Duration::from_secs(60)));
                sent += 1;
                if under_way.len() >= 100_000
                    && let Some(outcome) = under_way.next().await
                {
                    written += u64::from(outcome.is_ok());
                }
            }
            while let Some(outcome) = under_way.next().await {
                written += u64::from(outcome.is_ok());
            }
            (written == sent).then(|| watch.stop(sent))
        });
        drop(producer);
        bench.delete(&topic)?;
        run.ok_or_else(|| "FutureProducer did not write everything".into())
    }

    fn name_of_today(&self) -> &'static str {
        "FutureProducer, a future an event"
    }
}

/// A topic that is read again and again, each time by a new group.
struct Receive {
    topic: String,
    events: u64,
}

impl Receive {
    fn fill(bench: &Bench<'_>) -> Result<Self> {
        let topic = bench.topic()?;
        let events = (FILL / (bench.payload.len() + 30)).min(4_000_000) / BATCH * BATCH;
        bench.runtime.block_on(async {
            let producer = bench.hub.producer(&topic, ProducerOptions::new()).await?;
            let mut under_way = VecDeque::new();
            for first in (0..events).step_by(BATCH) {
                let batch = (first..first + BATCH)
                    .map(|nth| Event::new(bench.payload.clone()).with_key(bench.keys[nth % KEYS].clone()))
                    .collect();
                under_way.push_back(producer.submit(batch).await?);
                if under_way.len() > 1_500
                    && let Some(oldest) = under_way.pop_front()
                {
                    oldest.await.into_iter().collect::<anyhub_core::Result<Vec<_>>>()?;
                }
            }
            for pending in under_way {
                pending.await.into_iter().collect::<anyhub_core::Result<Vec<_>>>()?;
            }
            producer.close().await
        })?;
        Ok(Self {
            topic,
            events: events as u64,
        })
    }

    /// Reads the whole topic again until there is time enough.
    fn passes(&self, bench: &Bench<'_>, mut pass: impl FnMut() -> Result<Run>) -> Result<Run> {
        let mut all = pass()?;
        while all.elapsed < bench.time {
            all = all.and(pass()?);
        }
        Ok(all)
    }
}

/// So long the next event may take.
const STALL: Duration = Duration::from_secs(30);

impl Ways for Receive {
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run> {
        self.passes(bench, || {
            let consumer: BaseConsumer = bench.consumer_config().create()?;
            consumer.subscribe(&[&self.topic])?;
            let mut watch = Stopwatch::start();
            let mut came = 0;
            while came < self.events {
                match consumer.poll(STALL) {
                    Some(Ok(message)) => {
                        if came == 0 {
                            watch = Stopwatch::start();
                        }
                        came += 1;
                        black_box((message.key(), message.payload(), message.timestamp()));
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => {}
                }
                if watch.elapsed() > STALL + bench.time {
                    return Err("raw rdkafka stalled".into());
                }
            }
            Ok(watch.stop(came - 1))
        })
    }

    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run> {
        self.passes(bench, || {
            bench.runtime.block_on(async {
                let options = ConsumerOptions::new().group(format!("ours-{:?}", Instant::now()));
                let mut consumer = bench.hub.consumer(&self.topic, options).await?;
                let acks = consumer.acks();
                let mut watch = Stopwatch::start();
                let (mut came, mut first) = (0, 0);
                while came < self.events {
                    let batch = tokio::time::timeout(STALL, consumer.receive(BATCH * 5)).await??;
                    if came == 0 && !batch.deliveries.is_empty() {
                        watch = Stopwatch::start();
                        first = batch.deliveries.len() as u64;
                    }
                    came += batch.deliveries.len() as u64;
                    for delivery in &batch.deliveries {
                        black_box((&delivery.event.key, &delivery.event.payload, delivery.published));
                    }
                    acks.ack(&batch.tokens());
                }
                let run = watch.stop(came - first);
                consumer.close().await?;
                Ok(run)
            })
        })
    }

    fn today(&mut self, bench: &Bench<'_>) -> Result<Run> {
        bench.runtime.block_on(async {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", bench.bootstrap)
                .set("group.id", format!("today-{:?}", Instant::now()))
                .set("auto.offset.reset", "earliest");
            let consumer: StreamConsumer = config.create()?;
            consumer.subscribe(&[&self.topic])?;
            let mut watch = Stopwatch::start();
            let mut came = 0;
            while came < self.events && watch.elapsed() < bench.time.max(STALL) {
                let message = tokio::time::timeout(STALL, consumer.recv()).await??;
                if came == 0 {
                    watch = Stopwatch::start();
                }
                came += 1;
                black_box((message.key(), message.payload(), message.timestamp()));
            }
            Ok(watch.stop(came.max(2) - 1))
        })
    }

    fn name_of_today(&self) -> &'static str {
        "StreamConsumer with its default settings"
    }
}
