//! What the leases ask for is done, until the consumer is gone.

use crate::{Log, Part as _, Resume, error::of_leases, shared::Shared, slot::Task};
use anyhub_core::ErrorKind;
use anyhub_leases::{Change, Grant, Leases};
use futures_util::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::sleep;

/// Partitions that were granted and are not known here: they are looked for beside all else.
struct Unknown<L: Log> {
    /// The grants that count, and whether another member has asked for them meanwhile.
    granted: HashMap<Arc<str>, (Grant, bool)>,
    looking: FuturesUnordered<BoxFuture<'static, (Grant, Option<L::Part>)>>,
}

pub(crate) async fn attend<L: Log>(shared: Weak<Shared<L>>, leases: Arc<Leases>) {
    let mut unknown = Unknown {
        granted: HashMap::new(),
        looking: FuturesUnordered::new(),
    };
    // Aborted when the next one begins: it looks for the same.
    let mut _looking_for_topic = None;
    loop {
        let changes = tokio::select! {
            Some((grant, found)) = unknown.looking.next() => {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                unknown.found(&shared, grant, found);
                continue;
            }
            changes = leases.changed() => changes,
        };
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let changes = match changes {
            Ok(changes) => changes,
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => {
                strong.can_not_go_on(of_leases(L::HUB, "receive", &error));
                continue;
            }
        };
        for change in changes {
            match change {
                Change::Granted(grant) => match strong.known(&grant.partition) {
                    Some(part) => strong.take_up(grant, part),
                    None => unknown.look_for(&shared, grant),
                },
                Change::Asked(part) => {
                    if let Some((_, asked)) = unknown.granted.get_mut(&part) {
                        *asked = true;
                    }
                    strong.ask(&part);
                }
                Change::Lost(part) => {
                    unknown.granted.remove(&part);
                    strong.lose(&part);
                    let looking = tokio::spawn(look_for_topic(shared.clone()));
                    _looking_for_topic = Some(Task::new(looking.abort_handle()));
                }
            }
        }
    }
}

impl<L: Log> Unknown<L> {
    fn look_for(&mut self, shared: &Weak<Shared<L>>, grant: Grant) {
        self.granted
            .insert(grant.partition.clone(), (grant.clone(), false));
        self.looking.push(look_for(shared.clone(), grant).boxed());
    }

    /// Takes up what was looked for, if it was not lost meanwhile.
    fn found(&mut self, shared: &Arc<Shared<L>>, grant: Grant, found: Option<L::Part>) {
        let id = grant.partition.clone();
        if self.granted.get(&id).is_none_or(|(now, _)| *now != grant) {
            return;
        }
        let asked = self.granted.remove(&id).is_some_and(|(_, asked)| asked);
        // Its reader finds it gone, and tells so before its children are begun.
        let part = found.unwrap_or_else(|| L::Part::gone(id.clone()));
        shared.take_up(grant, part);
        if asked {
            shared.ask(&id);
        }
    }
}

/// Lists until that succeeds; None: the partition is not kept.
async fn look_for<L: Log>(shared: Weak<Shared<L>>, grant: Grant) -> (Grant, Option<L::Part>) {
    let mut pause = Duration::from_millis(100);
    loop {
        let Some(shared) = shared.upgrade() else {
            return (grant, None);
        };
        match shared.list("receive").await {
            Ok(listed) => {
                let mut listed = listed.into_iter();
                let found = listed.find(|part| *part.id() == grant.partition);
                return (grant, found);
            }
            Err(error) if error.is_retryable() => {
                tracing::debug!(part = %grant.partition, %error, "a partition is looked for again");
            }
            Err(error) => shared.can_not_go_on(error),
        }
        drop(shared);
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Where the leases go because the topic went, nothing more will come.
async fn look_for_topic<L: Log>(shared: Weak<Shared<L>>) {
    if let Some(shared) = shared.upgrade()
        && let Err(error) = shared.log.look("receive").await
        && error.kind() == ErrorKind::NotFound
    {
        shared.can_not_go_on(error);
    }
}

impl<L: Log> Shared<L> {
    /// Takes up what was granted.
    fn take_up(self: &Arc<Self>, grant: Grant, part: L::Part) {
        let position = grant.checkpoint.position.as_deref();
        // Where that is none, it is owned all the same: a seek moves it.
        let resume = Resume::read(L::HUB, "receive", part.id(), position);
        let begin = resume.map(|resume| L::begin_at(&part, resume));
        self.own(&part, Some(grant), begin);
    }

    /// Tells `receive` of an error that is final until a seek.
    fn can_not_go_on(&self, error: anyhub_core::Error) {
        self.state().failure.get_or_insert(error);
        self.wake.notify_one();
    }
}
