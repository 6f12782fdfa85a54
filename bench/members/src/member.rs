//! A member, in a process of its own. What it has worked on it tells before it acknowledges it, and
//! it does what stdin asks; at the end of stdin it leaves.

use crate::{
    GROUP, Outcome, TOPIC,
    clock::{now, stamped},
    line::{Line, What},
    number,
};
use anyhub_core::{
    AckToken, Acks, Assignment, Batch, Change, Consumer, ConsumerOptions, ErrorKind, Hub,
};
use std::{
    collections::BTreeSet,
    io::{Write as _, stdout},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    time::sleep,
};

/// What a member can be asked, a word each.
pub(crate) const HOLD: &str = "hold";
pub(crate) const GO_ON: &str = "go-on";
pub(crate) const COMMIT: &str = "commit";
pub(crate) const LATE: &str = "late";

/// How long an application works on a batch: a kill meets deliveries that are not acknowledged.
const WORK: Duration = Duration::from_millis(2);

struct Member {
    acks: Acks,
    owned: BTreeSet<String>,
    /// Nothing is acknowledged, all of it is kept.
    is_holding: bool,
    held: Vec<(Duration, u64, AckToken)>,
}

pub(crate) async fn run(hub: &dyn Hub, commit_interval: Duration) -> Outcome {
    let options = ConsumerOptions::new()
        .group(GROUP)
        .commit_interval(commit_interval);
    let mut consumer = hub.consumer(TOPIC, options).await?;
    let mut member = Member {
        acks: consumer.acks(),
        owned: BTreeSet::new(),
        is_holding: false,
        held: Vec::new(),
    };
    let is_shared = hub.capabilities().assignment == Assignment::Shared;
    let mut asked = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            biased;
            word = asked.next_line() => match word? {
                Some(word) => member.answer(&mut *consumer, &word).await?,
                None => break,
            },
            (at, batch) = stamped(consumer.receive(member.max())) => {
                let done = member.take(at, batch?).await?;
                if is_shared {
                    confirm(&mut *consumer, done).await?;
                }
            }
        }
    }
    let gone = std::mem::take(&mut member.owned).into_iter();
    tell(gone.map(|partition| What::GaveUp(partition).at(now())))?;
    Ok(consumer.close().await?)
}

impl Member {
    /// While it holds, it is slow: behind what it has delivered more waits that it has read ahead.
    fn max(&self) -> usize {
        if self.is_holding { 1 } else { 500 }
    }

    /// What is acknowledged of it.
    async fn take(&mut self, at: Duration, batch: Batch) -> Outcome<Vec<u64>> {
        let mut lines = Vec::new();
        for change in &batch.changes {
            let (is_owned, partitions) = match change {
                Change::Assigned(partitions) => (true, partitions),
                Change::Revoked(partitions) | Change::Lost(partitions) => (false, partitions),
                overtaken => return Err(format!("events went unread: {overtaken:?}").into()),
            };
            for partition in partitions.iter().map(ToString::to_string) {
                if is_owned {
                    self.owned.insert(partition.clone());
                    lines.push(What::Owns(partition));
                } else {
                    self.owned.remove(&partition);
                    lines.push(What::GaveUp(partition));
                }
            }
        }
        let came = batch.deliveries.iter().map(|it| it.partition.to_string());
        let came: BTreeSet<_> = came.collect();
        lines.extend(came.into_iter().map(What::Came));
        tell(lines.into_iter().map(|what| what.at(at)))?;
        sleep(WORK).await;
        let mut done = Vec::with_capacity(batch.deliveries.len());
        for delivery in &batch.deliveries {
            done.push((at, number(delivery)?, delivery.token));
        }
        if self.is_holding {
            self.held.append(&mut done);
            return Ok(Vec::new());
        }
        // Whole before anything of it is acknowledged.
        tell(
            done.iter()
                .map(|&(at, number, _)| What::Done(number).at(at)),
        )?;
        self.acks.ack(&batch.tokens());
        Ok(done.iter().map(|(_, number, _)| *number).collect())
    }

    async fn answer(&mut self, consumer: &mut dyn Consumer, word: &str) -> Outcome {
        let answer = match word {
            HOLD => {
                self.is_holding = true;
                HOLD.to_owned()
            }
            GO_ON => {
                self.is_holding = false;
                // Those that are stale come again.
                let held = self.held.drain(..);
                let valid = held.filter(|&(_, _, token)| self.acks.ack(&[token]) == 1);
                tell(valid.map(|(at, number, _)| What::Done(number).at(at)))?;
                GO_ON.to_owned()
            }
            COMMIT => format!("{COMMIT} {}", committed(consumer).await),
            LATE => {
                let tokens: Vec<_> = self.held.drain(..).map(|(_, _, token)| token).collect();
                let valid = self.acks.ack(&tokens);
                let committed = committed(consumer).await;
                let valid_still = self.acks.ack(&tokens);
                format!("{LATE} {} {valid} {committed} {valid_still}", tokens.len())
            }
            other => return Err(format!("a member can't '{other}'").into()),
        };
        tell([What::Answer(answer).at(now())])
    }
}

/// Where nobody owns anything, it is the commit that says whose an event was.
async fn confirm(consumer: &mut dyn Consumer, done: Vec<u64>) -> Outcome {
    match consumer.commit().await {
        Ok(()) => tell(
            done.into_iter()
                .map(|number| What::Confirmed(number).at(now())),
        ),
        // Some come again; what is out of reach is tried again with the next ones.
        Err(error) if error.kind() == ErrorKind::Fenced || error.is_retryable() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `Ok`, or the kind of the error.
async fn committed(consumer: &mut dyn Consumer) -> String {
    match consumer.commit().await {
        Ok(()) => "Ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn tell(lines: impl IntoIterator<Item = Line>) -> Outcome {
    let lines: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
    let mut out = stdout().lock();
    out.write_all(lines.as_bytes())?;
    Ok(out.flush()?)
}
