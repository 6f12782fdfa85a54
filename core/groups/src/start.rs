//! Where a consumer begins (C7).

use crate::{
    Log, Part as _, Resume,
    lineage::{ancestors, descendants, is_kept, kept_parents},
    shared::Shared,
};
use anyhub_core::Result;
use anyhub_leases::{Lease, NewPartition};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The rows that a group has to have and has not.
///
/// Where it has none at all, it begins at the consumer's start. Where it has some, partitions that came
/// from these are added, at their beginning. What is neither ancestor nor descendant of any was left out by
/// a member that died while it made the beginning, and begins at the consumer's start, too; but where
/// retention has taken a partition with a row, what lay between may be gone as well, and all that is left
/// comes from there. On logs that grow without lineage it was added, unless the group is new and it was there
/// when this member came.
pub(crate) async fn of_group<L: Log>(
    shared: &Shared<L>,
    operation: &'static str,
    listed: &[L::Part],
    rows: &HashMap<Arc<str>, Arc<Lease>>,
) -> Result<Vec<NewPartition>> {
    let known: HashSet<Arc<str>> = rows.keys().cloned().collect();
    let mut new = descendants(listed, &known);
    for partition in &mut new {
        // A parent that is gone and has a row is finished by its owner, who first tells what is missing.
        let part = listed.iter().find(|part| *part.id() == partition.partition);
        let parents = part.map_or(&[][..], |part| part.parents());
        let unfinished = |id: &&Arc<str>| rows.get(*id).is_some_and(|row| !row.checkpoint.finished);
        let gone = parents.iter().filter(|id| !is_kept(listed, id));
        partition.parents.extend(gone.filter(unfinished).cloned());
    }
    let covered: HashSet<_> = new.iter().map(|new| new.partition.clone()).collect();
    let ancestors = ancestors(listed, &known);
    let left_out = |part: &&L::Part| {
        let id = part.id();
        !known.contains(id) && !covered.contains(id) && !ancestors.contains(id)
    };
    let left_out = listed.iter().filter(left_out).cloned();
    let (added, left_out): (Vec<_>, Vec<_>) = {
        let there = &shared.state().listed;
        let is_new = |part: &L::Part| !there.is_empty() && !there.contains(part.id());
        let is_old = was_made_before(rows);
        left_out.partition(|part| L::GROWS.is_some() && (is_old || is_new(part)))
    };
    new.extend(
        added
            .iter()
            .map(|part| NewPartition::new(part.id().clone())),
    );
    if left_out.is_empty() {
        return Ok(new);
    }
    let begun = if known.iter().all(|id| is_kept(listed, id)) {
        let start = &shared.options.start;
        shared.log.begin(operation, &left_out, start).await?
    } else {
        let all = left_out.into_iter();
        all.map(|part| (part, Resume::Start)).collect()
    };
    for (part, resume) in &begun {
        let of_begun = |parent: &Arc<str>| begun.iter().any(|(begun, _)| begun.id() == parent);
        let parents = kept_parents(listed, part).into_iter().filter(of_begun);
        let mut partition = NewPartition::new(part.id().clone()).parents(parents);
        partition.position = resume.text();
        new.push(partition);
    }
    Ok(new)
}

/// How long a group may take to be made, by members whose clocks may differ.
const MADE: u64 = 60;

/// Whether a group was made so long ago that what it lacks was added since: take counters begin with the
/// second in which their rows were made.
fn was_made_before(rows: &HashMap<Arc<str>, Arc<Lease>>) -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.unwrap_or_default().as_secs();
    let first = rows.values().map(|row| row.takes).min();
    first.is_some_and(|first| first.saturating_add(MADE) < now)
}

/// Takes in partitions that were added.
pub(crate) async fn of_added<L: Log>(shared: &Arc<Shared<L>>) -> Result<()> {
    let listed = shared.list("receive").await?;
    match (&shared.group, shared.leases()) {
        (Some(group), Some(leases)) => {
            let rows = group.rows::<L>("receive").await?;
            leases.add(of_group(shared, "receive", &listed, &rows).await?);
        }
        (Some(_), None) => {}
        (None, _) => private_children(shared, &listed),
    }
    Ok(())
}

/// Takes up what a private reader begins with.
pub(crate) async fn of_private<L: Log>(shared: &Arc<Shared<L>>) -> Result<()> {
    let listed = shared.list("consumer").await?;
    let start = &shared.options.start;
    let begun = shared.log.begin_alone(&listed, start).await?;
    let begun = begun.into_iter();
    {
        let state = &mut *shared.state();
        state.begun = begun
            .map(|(part, begin)| (part.id().clone(), begin))
            .collect();
        let before = listed
            .iter()
            .filter(|part| !state.begun.contains_key(part.id()));
        state.done = before.map(|part| part.id().clone()).collect();
    }
    private_children(shared, &listed);
    Ok(())
}

/// Takes up what a private reader may begin: partitions whose kept parents are all read to their end.
pub(crate) fn private_children<L: Log>(shared: &Arc<Shared<L>>, listed: &[L::Part]) {
    for part in listed {
        let ready = {
            let state = shared.state();
            let owned = state.slots.iter().any(|slot| slot.is(part.id()));
            let parents = kept_parents(listed, part);
            let read = parents.iter().all(|parent| state.done.contains(parent));
            !owned && !state.done.contains(part.id()) && read
        };
        if ready {
            let begin = shared.state().begun.remove(part.id());
            let begin = begin.unwrap_or_else(|| L::begin_at(part, Resume::Start));
            shared.own(part, None, Ok(begin));
        }
    }
}
