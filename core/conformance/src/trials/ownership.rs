//! C9 and C10: checkpoints and owners, while members come and go.

use super::{
    Trial,
    acks::{never_by_itself, tokens},
    trial,
};
use crate::{
    Context, Failure, Outcome,
    cancel::cancelled_after,
    failure::{ensure, ensure_eq},
    ledger::Ledger,
    positions::{ensure_between, places},
    reading::{Holding, Party, name, named, names, publish, read_back, take},
    stamp::Stamp,
};
use anyhub_core::{
    AckToken, Acks, Consumer, ErrorKind, Partition, PartitionLag, Point, Position, Producer,
};
use rand::RngExt;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::time::timeout;

pub(super) const TRIALS: &[Trial] = &[
    trial!("C9_checkpoints_never_go_back", never_back, [13], |can| can
        .positions),
    trial!("C9_a_seek_may_go_back", seek_back, [13], |can| can
        .positions),
    trial!("C10_a_partition_has_one_owner", one_owner, [14, 15]),
    trial!(
        "C10_no_event_is_lost_at_a_rebalance",
        nothing_lost,
        [1, 7, 8, 10, 12]
    ),
    trial!(
        "C10_no_event_is_lost_when_members_crash",
        nothing_lost_in_crashes,
        [1, 12]
    ),
    trial!("C10_a_stale_owner_changes_nothing", stale_owner, [14]),
];

const PARTITIONS: u32 = 4;

/// Where the group would resume, by partition; nothing where it has left no trace yet.
async fn committed(ctx: &Context, topic: &str, group: &str) -> Outcome<Vec<PartitionLag>> {
    let lag = ctx.hub().admin().lag(topic, group);
    match ctx.within("the lag", lag).await? {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        lag => Ok(lag?),
    }
}

/// Checkpoints as they are seen; Err if one goes back.
#[derive(Default)]
struct Checkpoints(HashMap<Partition, Position>);

impl Checkpoints {
    fn see(&mut self, lags: Vec<PartitionLag>) -> Outcome {
        for lag in lags {
            let Some(now) = lag.committed else { continue };
            let before = self.0.insert(lag.partition.clone(), now.clone());
            if let Some(before) = before {
                ensure!(
                    before.cmp_in_partition(&now).is_le(),
                    "the checkpoint of partition {} went back from {before} to {now}",
                    lag.partition
                );
            }
        }
        Ok(())
    }
}

async fn never_back(ctx: Context) -> Outcome {
    let events = (ctx.settings().events / 40).clamp(100, 500);
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let sent = (0..events)
        .map(|nth| named(&format!("k{nth}"), nth.to_string()))
        .collect();
    // The newest event of each partition.
    let mut newest: HashMap<Partition, Position> = HashMap::new();
    let receipts = publish(&ctx, &*producer, sent).await?;
    newest.extend(places(&ctx, &topic, receipts).await?);
    let mut rng = ctx.rng(1);
    let mut seen = Checkpoints::default();
    let mut open = true;
    for _ in 0..6 {
        if !open {
            break;
        }
        let mut member = ctx.consumer(&topic, ctx.member(&group)).await?;
        let acks = member.acks();
        let mut held = Vec::new();
        for round in 0..4 {
            let receive = member.receive(events / 16);
            let batch = if round == 0 {
                ctx.within("the next batch", receive).await??
            } else {
                // What is open does not come again to the same member: then this one is done.
                match timeout(ctx.tick() * 20, receive).await {
                    Ok(batch) => batch?,
                    Err(_) => break,
                }
            };
            held.extend(batch.tokens());
            let all = rng.random_bool(0.5);
            let answered = if all {
                held.len()
            } else {
                rng.random_range(0..=held.len())
            };
            for _ in 0..answered {
                acks.ack(&[held.swap_remove(rng.random_range(0..held.len()))]);
            }
            if rng.random_bool(0.8) {
                ctx.within("commit", member.commit()).await??;
            }
            seen.see(committed(&ctx, &topic, &group).await?)?;
        }
        if rng.random_bool(0.5) {
            ctx.within("close", member.close()).await??;
        }
        drop(member);
        let lags = committed(&ctx, &topic, &group).await?;
        seen.see(lags)?;
        open = newest.iter().any(|(partition, newest)| {
            let at = seen.0.get(partition);
            at.is_none_or(|at| at.cmp_in_partition(newest).is_le())
        });
    }
    ensure!(!seen.0.is_empty(), "no checkpoint was ever seen");
    Ok(())
}

async fn seek_back(ctx: Context) -> Outcome {
    let topic = super::acks::numbered(&ctx, 10).await?;
    let group = ctx.name();
    let mut member = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
    let came = take(&ctx, &mut *member, 10, "all events").await?;
    let acks = member.acks();
    acks.ack(&tokens(&came));
    ctx.within("commit", member.commit()).await??;
    let to = Point::Positions(vec![(came[2].partition.clone(), came[2].position.clone())]);
    ctx.within("seek back", member.seek(to)).await??;
    // An ack from before the seek must not bring the old checkpoint back.
    acks.ack(&tokens(&came));
    ctx.within("commit after the seek", member.commit())
        .await??;
    let lag = committed(&ctx, &topic, &group).await?;
    let at = lag.first().and_then(|lag| lag.committed.clone());
    let what = "the checkpoint after a seek back";
    ensure_between(at.as_ref(), &came[1].position, &came[2].position, what)?;
    let again = take(&ctx, &mut *member, 2, "two events after the seek").await?;
    acks.ack(&tokens(&again[..1]));
    ctx.within("commit", member.commit()).await??;
    let lag = committed(&ctx, &topic, &group).await?;
    let at = lag.first().and_then(|lag| lag.committed.clone());
    let what = "the checkpoint one event later";
    ensure_between(at.as_ref(), &came[2].position, &came[3].position, what)?;
    Ok(member.close().await?)
}

/// A group under churn: members join, leave or crash while events are written and acked.
struct Churn {
    ctx: Context,
    topic: String,
    group: String,
    producer: Arc<dyn Producer>,
    party: Party,
    acks: HashMap<usize, Acks>,
    ledger: Ledger,
    stamps: u32,
}

impl Churn {
    async fn new(ctx: &Context) -> Outcome<Self> {
        let topic = ctx.topic(PARTITIONS).await?;
        Ok(Self {
            ctx: ctx.clone(),
            group: ctx.name(),
            producer: ctx.producer(&topic).await?,
            topic,
            party: Party::new(),
            acks: HashMap::new(),
            ledger: Ledger::new(),
            stamps: 0,
        })
    }

    async fn join(&mut self) -> Outcome<usize> {
        let member = self
            .ctx
            .consumer(&self.topic, self.ctx.member(&self.group))
            .await?;
        let acks = member.acks();
        let nth = self.party.join(member);
        self.acks.insert(nth, acks);
        Ok(nth)
    }

    async fn write(&mut self, events: u32) -> Outcome {
        let stamps: Vec<_> = (self.stamps..self.stamps + events)
            .map(|id| Stamp {
                key: Some(id % 13),
                seq: id / 13,
                id,
            })
            .collect();
        self.stamps += events;
        let batch = stamps.iter().map(|stamp| stamp.event(10)).collect();
        let receipts = publish(&self.ctx, &*self.producer, batch).await?;
        for (stamp, receipt) in stamps.into_iter().zip(receipts) {
            self.ledger.sent(stamp, Ok(receipt));
        }
        Ok(())
    }

    /// Reads, with each delivery acked at once, until `enough`.
    async fn read(&mut self, what: &str, enough: impl Fn(&Party, &Ledger) -> bool) -> Outcome {
        let (ledger, acks) = (&mut self.ledger, &self.acks);
        if enough(&self.party, ledger) {
            return Ok(());
        }
        let shared = self.ctx.is_shared();
        self.party
            .receive_until(&self.ctx, 40, what, |nth, batch, party| {
                // Where a key may come from any member, the group is one reader.
                let reader = if shared { 0 } else { nth };
                ledger.changed(reader, &batch.changes);
                batch
                    .deliveries
                    .iter()
                    .for_each(|delivery| ledger.came(reader, delivery));
                if let Some(acks) = acks.get(&nth) {
                    acks.ack(&batch.tokens());
                }
                Ok(enough(party, ledger))
            })
            .await
    }

    async fn balance(&mut self) -> Outcome {
        let ctx = self.ctx.clone();
        self.read("the partitions to be shared out", |party, _| {
            party.is_balanced(&ctx, PARTITIONS as usize)
        })
        .await
    }

    /// Reads until everything written has come, and gives the verdict.
    async fn finish(mut self) -> Outcome {
        let all = self.stamps as usize;
        let finished = self.read("every event that was written", |_, ledger| {
            ledger.distinct() >= all
        });
        let finished = finished.await;
        if finished.is_err() {
            let log: HashSet<u32> = read_back(&self.ctx, &self.topic)
                .await?
                .iter()
                .filter_map(|delivery| Some(Stamp::read(&delivery.event)?.id))
                .collect();
            let lost = self.ledger.lost();
            let kept = lost.iter().filter(|id| log.contains(id)).count();
            self.ledger.verdict().map_err(|failure| {
                let at = format!("{kept} of {} lost events are in the log", lost.len());
                Failure::new(format!("{failure}; {at}"))
            })?;
        }
        finished?;
        self.ledger.verdict()?;
        self.party.close(&self.ctx).await
    }
}

async fn nothing_lost(ctx: Context) -> Outcome {
    let mut churn = Churn::new(&ctx).await?;
    let mut present = vec![churn.join().await?];
    // Joined, joined, left: each a rebalance with events under way.
    for round in 0..4 {
        churn.write(120).await?;
        if round == 2 {
            let nth = present.remove(0);
            let mut member = churn.party.take(nth)?;
            ctx.within("a member to leave", member.close()).await??;
        } else {
            present.push(churn.join().await?);
        }
        churn.balance().await?;
    }
    churn.finish().await
}

async fn nothing_lost_in_crashes(ctx: Context) -> Outcome {
    let mut rng = ctx.rng(3);
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let mut left: HashSet<String> = (0..400).map(|nth| nth.to_string()).collect();
    let events = (0..400)
        .map(|nth| named(&format!("k{}", nth % 9), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    // Before processing, after it, after the ack, during the commit, and while its partitions are
    // being taken by the next member, which goes on in any case.
    let mut member = ctx.consumer(&topic, ctx.member(&group)).await?;
    for crash in 0..6 {
        let acks = member.acks();
        for nth in (0..rng.random_range(1..4)).rev() {
            let last = nth == 0;
            if left.is_empty() {
                break;
            }
            let what = format!("{} events never processed before the crashes", left.len());
            let batch = ctx.within(what, member.receive(15)).await??;
            let stage = if last { crash } else { rng.random_range(0..4) };
            for delivery in &batch.deliveries {
                if stage > 0 {
                    left.remove(&name(delivery));
                }
                if stage > 1 {
                    acks.ack(&[delivery.token]);
                }
            }
            if stage == 3 {
                let _ = cancelled_after(rng.random_range(0..3), member.commit()).await;
            }
        }
        let joining = if crash > 3 {
            let joining = ctx.consumer(&topic, ctx.member(&group)).await?;
            cancelled_after(rng.random_range(0..3), member.receive(15)).await;
            Some(joining)
        } else {
            None
        };
        crash_of(member);
        member = match joining {
            Some(joining) => joining,
            None => ctx.consumer(&topic, ctx.member(&group)).await?,
        };
    }
    let mut last = member;
    while !left.is_empty() {
        let what = format!("{} events never processed before the crashes", left.len());
        let batch = ctx.within(what, last.receive(50)).await??;
        for name in names(&batch.deliveries) {
            left.remove(&name);
        }
    }
    Ok(last.close().await?)
}

async fn one_owner(ctx: Context) -> Outcome {
    let mut churn = Churn::new(&ctx).await?;
    let mut held: HashMap<usize, Holding> = HashMap::new();
    // Who delivered last from each lane, and with which tokens.
    let mut owner: HashMap<String, usize> = HashMap::new();
    let mut given: HashMap<(usize, String), Vec<AckToken>> = HashMap::new();
    // What each member is at work on.
    let mut open: HashMap<usize, Vec<AckToken>> = HashMap::new();
    churn.join().await?;
    for round in 0..3 {
        churn.write(150).await?;
        churn.join().await?;
        let mut came = 0;
        let acks = churn.acks.clone();
        let what = format!("150 events while member {} joins", round + 1);
        let (party, ctx) = (&mut churn.party, &churn.ctx);
        party
            .receive_until(ctx, 10, &what, |nth, batch, party| {
                let own = held.entry(nth).or_default();
                own.follow(&batch.changes);
                for delivery in &batch.deliveries {
                    let at = &delivery.partition;
                    ensure!(
                        own.holds(at),
                        "member {nth} delivered from partition {at} without being its owner"
                    );
                    // Whoever had it before has lost it, tokens and all.
                    let lane = ctx.lane(delivery);
                    if let Some(before) = owner
                        .insert(lane.clone(), nth)
                        .filter(|before| *before != nth)
                    {
                        let old = given.remove(&(before, lane.clone())).unwrap_or_default();
                        let valid = acks.get(&before).map_or(0, |acks| acks.ack(&old));
                        ensure_eq!(
                            valid,
                            0,
                            "valid tokens of member {before}, when lane {lane} has member {nth} as its owner"
                        );
                    }
                    let tokens = given.entry((nth, lane)).or_default();
                    tokens.push(delivery.token);
                }
                came += batch.deliveries.len();
                // Looked at twice: a partition may move between two members' answers, not back.
                let both = [party.owned(), party.owned()];
                let mut owners = HashSet::new();
                for (nth, owned) in both[0].iter().filter(|_| !ctx.is_shared()) {
                    let still = both[1].iter().find(|(other, _)| other == nth);
                    for at in owned
                        .iter()
                        .filter(|at| still.is_some_and(|(_, own)| own.contains(at)))
                    {
                        ensure!(
                            owners.insert(at.clone()),
                            "partition {at} has two owners, one is {nth}"
                        );
                    }
                }
                // All but the newest are answered, so that there are open deliveries, too, when a lane moves.
                let done = open.insert(nth, batch.tokens()).unwrap_or_default();
                if let Some(acks) = acks.get(&nth) {
                    acks.ack(&done);
                }
                Ok(came >= 150)
            })
            .await?;
    }
    churn.party.close(&ctx).await
}

async fn stale_owner(ctx: Context) -> Outcome {
    let limit = ctx.settings().max_processing;
    let topic = super::acks::numbered(&ctx, 10).await?;
    let group = ctx.name();
    let options = never_by_itself(&ctx, &group);
    // The first takes some and then hangs: it is not polled, and the second takes over.
    let mut first = ctx
        .consumer(&topic, options.clone().max_processing(limit))
        .await?;
    let held = take(&ctx, &mut *first, 8, "the first owner's events").await?;
    let mut second = ctx.consumer(&topic, options).await?;
    let came = take(&ctx, &mut *second, 10, "the second owner's events").await?;
    second.acks().ack(&tokens(&came[..4]));
    ctx.within("commit of the new owner", second.commit())
        .await??;
    // The first wakes up.
    ensure_eq!(
        first.acks().ack(&tokens(&held)),
        0,
        "valid tokens of the stale owner"
    );
    let answer = ctx
        .within("commit of the stale owner", first.commit())
        .await?;
    if let Err(error) = answer {
        ensure_eq!(
            error.kind(),
            ErrorKind::Fenced,
            "the answer to a commit of the stale owner"
        );
    }
    crash_of(first);
    crash_of(second);
    super::acks::resumes_at(&ctx, &topic, &group, 4).await
}

/// Dropped without a close.
fn crash_of(member: Box<dyn Consumer>) {
    drop(member);
}
