//! What the leases ask for is done, until the consumer is gone.

use crate::{
    checkpoint::Resume, error::of_leases, reader::Begin, shards::Shard, shared::Shared, slot::Task,
    status,
};
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

/// Shards that were granted and are not known here: they are looked for beside all else.
#[derive(Default)]
struct Unknown {
    /// The grants that count, and whether another member has asked for them meanwhile.
    granted: HashMap<Arc<str>, (Grant, bool)>,
    looking: FuturesUnordered<BoxFuture<'static, (Grant, Option<Shard>)>>,
}

pub(crate) async fn attend(shared: Weak<Shared>, leases: Arc<Leases>) {
    let mut unknown = Unknown::default();
    // Aborted when the next one begins: it looks for the same.
    let mut _looking_for_stream = None;
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
                strong.can_not_go_on(of_leases("receive", &error));
                continue;
            }
        };
        for change in changes {
            match change {
                Change::Granted(grant) => match strong.known(&grant.partition) {
                    Some(shard) => strong.take_up(grant, shard),
                    None => unknown.look_for(&shared, grant),
                },
                Change::Asked(shard) => {
                    if let Some((_, asked)) = unknown.granted.get_mut(&shard) {
                        *asked = true;
                    }
                    strong.ask(&shard);
                }
                Change::Lost(shard) => {
                    unknown.granted.remove(&shard);
                    strong.lose(&shard);
                    let looking = tokio::spawn(look_for_stream(shared.clone()));
                    _looking_for_stream = Some(Task(looking.abort_handle()));
                }
            }
        }
    }
}

impl Unknown {
    fn look_for(&mut self, shared: &Weak<Shared>, grant: Grant) {
        self.granted
            .insert(grant.partition.clone(), (grant.clone(), false));
        self.looking.push(look_for(shared.clone(), grant).boxed());
    }

    /// Takes up what was looked for, if it was not lost meanwhile.
    fn found(&mut self, shared: &Arc<Shared>, grant: Grant, found: Option<Shard>) {
        let id = grant.partition.clone();
        if self.granted.get(&id).is_none_or(|(now, _)| *now != grant) {
            return;
        }
        let asked = self.granted.remove(&id).is_some_and(|(_, asked)| asked);
        // Its reader finds it gone, and tells so before its children are begun.
        let shard = found.unwrap_or_else(|| Shard::gone(id.clone()));
        shared.take_up(grant, shard);
        if asked {
            shared.ask(&id);
        }
    }
}

/// Lists until that succeeds; None: the shard is not kept.
async fn look_for(shared: Weak<Shared>, grant: Grant) -> (Grant, Option<Shard>) {
    let mut pause = Duration::from_millis(100);
    loop {
        let Some(shared) = shared.upgrade() else {
            return (grant, None);
        };
        match shared.list("receive").await {
            Ok(listed) => {
                let mut listed = listed.into_iter();
                let found = listed.find(|shard| shard.id == grant.partition);
                return (grant, found);
            }
            Err(error) if error.is_retryable() => {
                tracing::debug!(shard = %grant.partition, %error, "a shard is looked for again");
            }
            Err(error) => shared.can_not_go_on(error),
        }
        drop(shared);
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Where the leases go because the stream went, nothing more will come.
async fn look_for_stream(shared: Weak<Shared>) {
    if let Some(shared) = shared.upgrade()
        && let Err(error) = status::usable(&shared.link, "receive", &shared.stream).await
        && error.kind() == ErrorKind::NotFound
    {
        shared.can_not_go_on(error);
    }
}

impl Shared {
    /// Takes up what was granted.
    fn take_up(self: &Arc<Self>, grant: Grant, shard: Shard) {
        let position = grant.checkpoint.position.as_deref();
        let begin = match Resume::read("receive", &shard.id, position) {
            Ok(resume) => Begin::at(&resume, &shard),
            // It is owned all the same: a seek moves it.
            Err(error) => Begin::refused(error),
        };
        self.own(&shard, Some(grant), begin);
    }

    /// Tells `receive` of an error that is final until a seek.
    fn can_not_go_on(&self, error: anyhub_core::Error) {
        self.state().failure.get_or_insert(error);
        self.wake.notify_one();
    }
}
