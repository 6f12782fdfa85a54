//! What goes on without the application: commits, nacks, more time for what it works on, and the limit of its silence.

use crate::{
    client::ATTEMPT,
    error::HUB,
    hub::PARTITION,
    keys::{Asked, Keys, Ref},
    shared::{ACKS, Phase, Shared},
    standing,
    stream::Reader,
    watch,
};
use anyhub_core::{Change, driver::Pulse};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, sleep_until, timeout};

/// Until the consumer closes.
pub(crate) async fn run(shared: Arc<Shared>) {
    // What has failed may go on with a seek, and is kept until then.
    while shared.fails_with("keeper", keep(&shared)).await {
        sleep(RETRY).await;
    }
}

async fn keep(shared: &Arc<Shared>) {
    let all = async {
        tokio::join!(
            commits(shared),
            nacks(shared),
            time(shared),
            silence(shared),
            pulse(shared),
            standing::run(shared),
            watch::run(shared)
        )
    };
    tokio::select! {
        _ = all => {}
        _ = shared.closed() => {}
    }
}

/// Every commit interval, and sooner where there is much.
async fn commits(shared: &Shared) {
    let (interval, mut last) = (shared.options.commit_interval, Instant::now());
    loop {
        let left = interval.saturating_sub(last.elapsed());
        let many = async {
            loop {
                if shared.is_much(&shared.keys()) {
                    return;
                }
                shared.full.notified().await;
            }
        };
        tokio::select! {
            () = sleep(left) => {}
            () = many => {}
        }
        last = Instant::now();
        if shared.is_closing() {
            return;
        }
        if shared.keys().finished_len() > 0
            && let Err(error) = shared.commit_quietly().await
        {
            tracing::warn!(%error, "acks could not be committed; they are tried again");
            sleep(RETRY).await;
        }
    }
}

/// After a commit that failed, or a panic.
const RETRY: Duration = Duration::from_millis(500);

/// Nacks as they become due; none waits for another.
async fn nacks(shared: &Shared) {
    let mut telling = FuturesUnordered::new();
    loop {
        let next = shared.keys().next_due();
        let alarm = async {
            match next {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = alarm => {}
            () = shared.asked.notified() => {}
            Some(()) = telling.next() => {}
        }
        let (lanes, ack_ids) = shared.keys().due(Instant::now());
        if !ack_ids.is_empty() {
            telling.push(tell(shared, lanes, ack_ids));
        }
    }
}

async fn tell(shared: &Shared, lanes: Vec<Asked>, ack_ids: Vec<String>) {
    let deadline = shared.subscription.ack_deadline;
    // What can't be told comes again when its time is over, since that is not prolonged; the last request for more time
    // may be under way. Until then the service has it for this consumer's.
    let over = Instant::now() + deadline + prolonging(deadline);
    let nacked = timeout(deadline, shared.nack(ack_ids)).await;
    if !matches!(nacked, Ok(Ok(()))) {
        tracing::warn!(?nacked, "a nack could not be told");
        sleep_until(over.into()).await;
    }
    shared.keys().nack_told(&lanes);
}

/// Prolongs what is held, and gives up what could not be.
async fn time(shared: &Shared) {
    let deadline = shared.subscription.ack_deadline;
    loop {
        sleep(deadline / 12).await;
        let from = Instant::now();
        let due = from
            .checked_sub(deadline / 4)
            .map(|since| shared.keys().to_prolong(since));
        if let Some(held) = due.filter(|held| !held.refs.is_empty()) {
            let each = held.refs.chunks(ACKS).zip(held.ack_ids.chunks(ACKS));
            join_all(each.map(|(refs, ids)| prolong(shared, refs, ids, from))).await;
        }
        let (lapsed, ready) = {
            let mut keys = shared.keys();
            (keys.lapse(Instant::now()), keys.is_ready())
        };
        if lapsed {
            tracing::warn!(
                subscription = %shared.subscription.name,
                "events were held for longer than their ack deadline, which could not be prolonged: they come again"
            );
            shared.asked.notify_one();
        }
        if ready {
            shared.arrived.notify_one();
        }
    }
}

async fn prolong(shared: &Shared, refs: &[Ref], ack_ids: &[String], from: Instant) {
    let (name, seconds) = (&shared.subscription.name, shared.subscription.seconds());
    let limit = prolonging(shared.subscription.ack_deadline);
    let prolonged = shared
        .line
        .modify(name, ack_ids.to_vec(), seconds, limit)
        .await;
    match prolonged {
        Ok(()) => shared.keys().prolonged(refs, from, Instant::now()),
        Err(failure) if !failure.acks.is_empty() => {
            let failed = |id: &String| failure.acks.iter().any(|(failed, _)| failed == id);
            let held = refs.iter().zip(ack_ids).filter(|(_, id)| !failed(id));
            let held: Vec<_> = held.map(|(of, _)| *of).collect();
            shared.keys().prolonged(&held, from, Instant::now());
        }
        Err(failure) => tracing::debug!(error = %failure.error, "more time could not be had"),
    }
}

/// How long a request for more time may take: not for longer than it would help.
fn prolonging(deadline: Duration) -> Duration {
    ATTEMPT.min(deadline / 4)
}

/// Gives everything up once the process has stood still: others may have it by now (C10).
async fn pulse(shared: &Arc<Shared>) {
    loop {
        sleep(Pulse::BEAT).await;
        if shared.is_awake() {
            continue;
        }
        let mut reader = shared.moving.lock().await;
        let was = reader.take();
        let read = was.is_some();
        if let Some(was) = was {
            was.abandon().await;
        }
        let ack_ids = shared.keys().lose();
        tracing::warn!(
            hub = HUB,
            subscription = %shared.subscription.name,
            events = ack_ids.len(),
            "the process, or its runtime, stood still: what it held comes again"
        );
        shared.give_back(ack_ids).await;
        shared.pulse.reassured();
        if read && matches!(shared.phase(), Phase::Reading) {
            shared.tell(Change::Lost(vec![PARTITION]));
            shared.tell(Change::Assigned(vec![PARTITION]));
            *reader = Some(Reader::start(shared));
        }
    }
}

/// Gives everything up once the application has been away for too long (C2).
async fn silence(shared: &Shared) {
    let limit = shared.options.max_processing;
    loop {
        let silence = shared.silence();
        let left = limit.saturating_sub(silence);
        let holds = matches!(shared.phase(), Phase::Reading | Phase::Failed(_));
        if !left.is_zero() || !holds {
            sleep(left.max(limit / 8)).await;
            continue;
        }
        let mut reader = shared.moving.lock().await;
        if shared.silence() < limit || !shared.go_away() {
            continue;
        }
        if let Some(reader) = reader.take() {
            reader.stop().await;
        }
        if let Err(error) = shared.settle(Keys::lose).await {
            tracing::warn!(%error, "acks could not be committed before the application's events went");
        }
        shared.tell(Change::Lost(vec![PARTITION]));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "keeper_tests.rs"]
mod tests;
