//! A fresh, full read of the topic by a reader of its own: where missing events were lost.

use std::{sync::Arc, time::Duration};

use anyhub_core::{ConsumerOptions, Hub, Point, Result};
use tokio::time::{Instant, timeout};

use super::phase::Phase;
use crate::{keys::KeySpace, payload};

/// The end of the topic is reached when nothing came for so long.
const IDLE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
const AT_MOST: Duration = Duration::from_secs(120);

/// How many of the events that were acknowledged and not received stand in the log.
pub(super) async fn recheck(
    hub: &Arc<dyn Hub>,
    topic: &str,
    phase: &Phase,
    keys: &KeySpace,
) -> Result<u64> {
    let begun = Instant::now();
    let mut reader = hub
        .consumer(topic, ConsumerOptions::new().start(Point::Start))
        .await?;
    let acks = reader.acks();
    let mut found = vec![0u64; (phase.ledger.len() as usize).div_ceil(64)];
    let mut count = 0;
    while begun.elapsed() < AT_MOST {
        let Ok(batch) = timeout(IDLE, reader.receive(1_000)).await else {
            break;
        };
        let batch = batch?;
        for delivery in &batch.deliveries {
            let Ok(decoded) = payload::decode(&delivery.event, keys) else {
                continue;
            };
            let header = decoded.header;
            if header.run != phase.ledger.run() {
                continue;
            }
            let Some(index) = phase.ledger.index(header.key, header.sequence) else {
                continue;
            };
            let bit = 1 << (index % 64);
            if phase.ledger.is_missing(index) && found[index / 64] & bit == 0 {
                found[index / 64] |= bit;
                count += 1;
            }
        }
        acks.ack(&batch.tokens());
    }
    reader.close().await?;
    Ok(count)
}
