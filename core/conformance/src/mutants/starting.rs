//! C7, C8, C12 and C14: where reading begins, where it is moved to, and what is gone by then.

use super::{
    Mutant,
    acking::CountsAll,
    hooks::OnBatch,
    layer::{Fault, ReadFault, Site},
    portable::portable,
};
use anyhub_core::{
    Batch, Change, Consumer, Delivery, ErrorKind, Partition, Point, Position, Result,
};
use async_trait::async_trait;
use std::{collections::HashSet, time::SystemTime};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "start_is_ignored",
        "C7_each_start_begins_where_it_says",
        "the first event from",
        || Fault::none().consumer_options(|options| options.start(Point::Start)),
    ),
    Mutant::new(
        "start_always_counts",
        "C7_start_counts_only_without_a_checkpoint",
        "where a group with a checkpoint resumes",
        || Fault::none().read(|site| Box::new(AlwaysStarts(site.options.start.clone()))),
    ),
    Mutant::new(
        "the_end_is_not_stored",
        "C7_end_is_made_concrete",
        "the first event after the end",
        || Fault::none().read(|site| Box::new(ForgetsEnd(site.clone(), false))),
    ),
    Mutant::new(
        "a_time_to_come_is_the_start",
        "C7_a_time_to_come_is_the_end",
        "the first event after a start",
        || {
            Fault::none().consumer_options(|options| match options.start {
                Point::Time(time) if time > SystemTime::now() => options.start(Point::Start),
                _ => options,
            })
        },
    ),
    Mutant::new(
        "a_consumer_opens_at_its_first_receive",
        "C7_a_consumer_sees_what_comes_after_it_opened",
        "events published right after opening",
        || Fault::none().read(|_| Box::new(OpensLate(false))),
    ),
    Mutant::new(
        "new_partitions_start_at_their_end",
        "C7_new_partitions_start_at_their_beginning",
        "all events of the old and the new partitions",
        || Fault::none().read(|_| Box::new(SkipsNew::default())),
    ),
    Mutant::new(
        "a_seek_is_one_off",
        "C8_seek_moves_to_each_point",
        "the events from a position on",
        || Fault::none().read(|_| Box::new(SeekOff)),
    ),
    Mutant::new(
        "a_seek_to_the_end_stays",
        "C8_seek_moves_to_each_point",
        "after a seek to the end",
        || Fault::none().read(|_| Box::new(StaysBeforeTheEnd)),
    ),
    Mutant::new(
        "a_seek_is_not_durable",
        "C8_seek_is_durable_before_it_returns",
        "where the group resumes",
        || Fault::none().read(|site| Box::new(SeeksInPrivate(site.clone()))),
    ),
    Mutant::new(
        "a_seek_leaves_tokens_valid",
        "C8_seek_stales_every_token",
        "valid tokens after a seek",
        || Fault::none().read(|_| Box::new(CountsAll)),
    ),
    Mutant::new(
        "what_was_fetched_survives_a_seek",
        "C8_nothing_fetched_before_a_seek_comes_after_it",
        "the first event after a seek",
        || Fault::none().read(|_| Box::new(FetchesAhead::default())),
    ),
    Mutant::new(
        "a_seek_moves_all_partitions",
        "C8_partitions_not_named_stay",
        "valid tokens of the partition that stays",
        || Fault::none().read(|_| Box::new(SeeksAll)),
    ),
    Mutant::new(
        "a_seek_drops_what_was_fetched",
        "C8_a_seek_before_the_first_receive_skips_nothing",
        "all events from there on",
        || Fault::none().read(|_| Box::new(DropsFetched)),
    ),
    Mutant::new(
        "a_seek_of_one_that_was_away_moves_nothing",
        "C8_a_seek_after_max_processing_moves_what_comes_back",
        "the first event after a seek",
        || Fault::none().read(|_| Box::new(SeeksWhatItHas)),
    ),
    Mutant::new(
        "a_seek_can_not_go_back",
        "C9_a_seek_may_go_back",
        "the checkpoint after a seek back",
        || Fault::none().read(|site| Box::new(SeeksInPrivate(site.clone()))),
    )
    .breaks(&[13]),
    Mutant::new(
        "private_readers_share",
        "C12_a_private_reader_reads_all_partitions",
        "all events at each of two private readers",
        || Fault::none().consumer_options(|options| options.group("private")),
    ),
    Mutant::new(
        "a_private_reader_commits",
        "C12_a_private_reader_commits_nothing",
        "groups of a topic with private readers alone",
        || Fault::none().consumer_options(|options| options.group("private")),
    ),
    Mutant::new(
        "overtaking_is_not_told",
        "C14_overtaken_by_retention_is_told_once",
        "after overtaking was told 0 times",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, _| {
                    batch.changes.retain(|change| !is_overtaken(change))
                })
            })
        },
    ),
    Mutant::new(
        "overtaking_is_told_twice",
        "C14_overtaken_by_retention_is_told_once",
        "the position that was due",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, _| {
                    let told = batch
                        .changes
                        .iter()
                        .find(|change| is_overtaken(change))
                        .cloned();
                    batch.changes.extend(told);
                })
            })
        },
    ),
    Mutant::new(
        "a_seek_to_what_is_gone_goes_elsewhere",
        "C14_a_seek_to_what_is_gone_is_out_of_range",
        "the answer to a seek to what is gone",
        || Fault::none().read(|_| Box::new(SeeksSomewhere)),
    ),
    Mutant::new(
        "undeclared_overtaking_is_told",
        "C14_undeclared_overtaking_is_not_told",
        "overtaking was told",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, _| {
                    batch.changes.push(Change::Overtaken {
                        partition: Partition::number(0),
                        from: Position::offset(0),
                        to: Position::offset(1),
                    });
                })
            })
        },
    )
    .on(portable),
    Mutant::new(
        "a_seek_beyond_the_end_is_taken",
        "Checks_22_a_seek_beyond_the_end_is_out_of_range",
        "was not refused",
        || Fault::none().read(|_| Box::new(SeeksSomewhere)),
    )
    .breaks(&[22]),
];

/// A seek forgets what was fetched of every partition.
#[derive(Debug)]
struct DropsFetched;

#[async_trait]
impl ReadFault for DropsFetched {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner.receive(1_000).await?;
        inner.seek(to).await
    }
}

/// A seek moves what is owned when it is called, if anything is.
#[derive(Debug)]
struct SeeksWhatItHas;

#[async_trait]
impl ReadFault for SeeksWhatItHas {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        if inner.assignment().is_empty() {
            return Ok(());
        }
        inner.seek(to).await
    }
}

fn is_overtaken(change: &Change) -> bool {
    matches!(change, Change::Overtaken { .. })
}

/// Goes to its start whatever the group has committed.
#[derive(Debug)]
struct AlwaysStarts(Point);

#[async_trait]
impl ReadFault for AlwaysStarts {
    async fn opened(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        inner.seek(self.0.clone()).await
    }
}

/// A group that has received nothing leaves no checkpoint behind.
#[derive(Debug)]
struct ForgetsEnd(Site, bool);

#[async_trait]
impl ReadFault for ForgetsEnd {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        self.1 |= !batch.deliveries.is_empty();
    }

    async fn close(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        inner.close().await?;
        match &self.0.options.group {
            Some(group) if !self.1 => self.0.hub.admin().delete_group(group).await,
            _ => Ok(()),
        }
    }
}

/// What came before its first receive is not seen.
#[derive(Debug)]
struct OpensLate(bool);

#[async_trait]
impl ReadFault for OpensLate {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        if !std::mem::replace(&mut self.0, true) {
            inner.seek(Point::End).await?;
        }
        inner.receive(max).await
    }
}

/// Passes over the events of partitions that were not there at first.
#[derive(Debug, Default)]
struct SkipsNew(HashSet<Partition>);

#[async_trait]
impl ReadFault for SkipsNew {
    async fn opened(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        self.0
            .extend(inner.assignment().into_iter().map(|own| own.partition));
        Ok(())
    }

    fn batch(&mut self, inner: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let acks = inner.acks();
        batch.deliveries.retain(|delivery| {
            let old = self.0.contains(&delivery.partition);
            if !old {
                acks.ack(&[delivery.token]);
            }
            old
        });
    }
}

#[derive(Debug)]
struct SeekOff;

#[async_trait]
impl ReadFault for SeekOff {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        let to = match to {
            Point::Positions(named) => Point::Positions(
                named
                    .into_iter()
                    .map(|(partition, at)| (partition, at.after()))
                    .collect(),
            ),
            to => to,
        };
        inner.seek(to).await
    }
}

#[derive(Debug)]
struct StaysBeforeTheEnd;

#[async_trait]
impl ReadFault for StaysBeforeTheEnd {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        match to {
            Point::End => Ok(()),
            to => inner.seek(to).await,
        }
    }
}

/// Reads on as a private reader after a seek: the group's checkpoint stays where it was.
#[derive(Debug)]
struct SeeksInPrivate(Site);

#[async_trait]
impl ReadFault for SeeksInPrivate {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        let mut options = self.0.options.clone().start(to);
        options.group = None;
        let private = self.0.hub.consumer(&self.0.topic, options).await?;
        let mut group = std::mem::replace(inner, private);
        group.close().await
    }
}

/// Keeps what it has fetched, also through a seek.
#[derive(Debug, Default)]
struct FetchesAhead(Vec<Delivery>);

#[async_trait]
impl ReadFault for FetchesAhead {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let mut batch = Batch::new();
        if self.0.is_empty() {
            batch = inner.receive(max + 50).await?;
            self.0.append(&mut batch.deliveries);
        }
        let some = max.min(self.0.len());
        batch.deliveries.extend(self.0.drain(..some));
        Ok(batch)
    }
}

/// A seek to positions moves the partitions that it does not name to the start.
#[derive(Debug)]
struct SeeksAll;

#[async_trait]
impl ReadFault for SeeksAll {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner.seek(Point::Start).await?;
        inner.seek(to).await
    }
}

/// A place that can't be had is no error.
#[derive(Debug)]
struct SeeksSomewhere;

#[async_trait]
impl ReadFault for SeeksSomewhere {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        match inner.seek(to).await {
            Err(error) if error.kind() == ErrorKind::OutOfRange => inner.seek(Point::Start).await,
            answer => answer,
        }
    }
}
