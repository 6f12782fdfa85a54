//! What a member asks for, of shards where nothing happens and of busy ones.

use crate::{config, hub, server};
use anyhub_core::{Consumer, ConsumerOptions, Hub, TopicConfig};
use anyhub_kinesis::LeasesIn;
use anyhub_local::kinesis::Kinesis;
use anyhub_members::{GROUP, Outcome, TOPIC, Writer};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const SHARDS: u32 = 4;

pub(crate) async fn run(time: Duration) -> Outcome {
    let kinesis = server()?;
    let hub = hub(config(&kinesis.endpoint()).leases(LeasesIn::Memory))?;
    let topic = TopicConfig::new(TOPIC).partitions(SHARDS);
    hub.admin().create_topic(&topic).await?;
    let options = ConsumerOptions::new().group(GROUP);
    let mut consumer = hub.consumer(TOPIC, options).await?;
    // Idle is what has been silent for some seconds.
    receive(&mut *consumer, Duration::from_secs(8)).await?;
    let idle = measure(&kinesis, &mut *consumer, time).await?;
    println!(
        "idle: {:.2} GetRecords/s a shard, CPU {:.1}% of a core (with the server's)",
        idle.0,
        idle.1 * 100.0
    );
    let writer = Writer::start(&hub, 2_000).await?;
    receive(&mut *consumer, Duration::from_secs(2)).await?;
    let busy = measure(&kinesis, &mut *consumer, time).await?;
    writer.finish().await?;
    println!(
        "busy: {:.2} GetRecords/s a shard, at 2,000 events/s",
        busy.0
    );
    consumer.close().await?;
    if idle.0 > 1.0 || busy.0 > 5.0 {
        return Err("more reads than 1 a second of an idle shard, or 5 of a busy one".into());
    }
    Ok(())
}

/// GetRecords a second and shard, and the share of a core that this process used.
async fn measure(
    kinesis: &Kinesis,
    consumer: &mut dyn Consumer,
    time: Duration,
) -> Outcome<(f64, f64)> {
    let calls = || {
        kinesis
            .counts()
            .requests
            .get("GetRecords")
            .copied()
            .unwrap_or_default()
    };
    let (before, cpu, began) = (calls(), cpu(), Instant::now());
    receive(consumer, time).await?;
    let seconds = began.elapsed().as_secs_f64();
    let reads = (calls() - before) as f64 / seconds / f64::from(SHARDS);
    Ok((reads, (self::cpu() - cpu) / seconds))
}

async fn receive(consumer: &mut dyn Consumer, time: Duration) -> Outcome {
    let until = Instant::now() + time;
    while let Ok(batch) = timeout(
        until.saturating_duration_since(Instant::now()),
        consumer.receive(1_000),
    )
    .await
    {
        consumer.acks().ack(&batch?.tokens());
    }
    Ok(())
}

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
