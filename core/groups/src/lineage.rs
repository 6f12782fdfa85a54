//! Which partitions came from which (C11).

use crate::Part;
use anyhub_leases::NewPartition;
use std::{collections::HashSet, sync::Arc};

/// The partitions that came from any of `known`, each waiting for those of its parents that are kept. A
/// parent that retention has removed holds nobody up.
pub(crate) fn descendants<P: Part>(listed: &[P], known: &HashSet<Arc<str>>) -> Vec<NewPartition> {
    let mut from = known.clone();
    let mut found = Vec::new();
    // Parents before their children.
    for part in listed {
        let id = part.id();
        if !part.parents().iter().any(|parent| from.contains(parent)) || known.contains(id) {
            continue;
        }
        from.insert(id.clone());
        found.push(NewPartition::new(id.clone()).parents(kept_parents(listed, part)));
    }
    found
}

/// The partitions that those of `known` came from.
pub(crate) fn ancestors<P: Part>(listed: &[P], known: &HashSet<Arc<str>>) -> HashSet<Arc<str>> {
    let mut found = HashSet::new();
    for part in listed.iter().rev() {
        if known.contains(part.id()) || found.contains(part.id()) {
            found.extend(part.parents().iter().cloned());
        }
    }
    found
}

/// Whether a partition is kept and no child of it is: a list of a moment ago, as one that has ended has
/// children for as long as it is kept. Without them nobody would ever begin these.
pub(crate) fn is_childless<P: Part>(listed: &[P], id: &str) -> bool {
    let is_parent = |part: &P| part.parents().iter().any(|parent| **parent == *id);
    is_kept(listed, id) && !listed.iter().any(is_parent)
}

/// Those of a partition's parents that are kept.
pub(crate) fn kept_parents<P: Part>(listed: &[P], part: &P) -> Vec<Arc<str>> {
    let kept = |parent: &&Arc<str>| is_kept(listed, parent);
    part.parents().iter().filter(kept).cloned().collect()
}

pub(crate) fn is_kept<P: Part>(listed: &[P], id: &str) -> bool {
    listed.iter().any(|part| **part.id() == *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhub_core::Partition;

    #[derive(Debug, Clone)]
    struct Shard {
        id: Arc<str>,
        parents: Vec<Arc<str>>,
    }

    impl Part for Shard {
        fn id(&self) -> &Arc<str> {
            &self.id
        }

        fn partition(&self) -> Partition {
            Partition::named(&self.id)
        }

        fn parents(&self) -> &[Arc<str>] {
            &self.parents
        }

        fn gone(id: Arc<str>) -> Self {
            Self {
                id,
                parents: Vec::new(),
            }
        }
    }

    fn shard(id: &str, parents: &[&str]) -> Shard {
        Shard {
            id: id.into(),
            parents: parents.iter().map(|&parent| parent.into()).collect(),
        }
    }

    #[test]
    fn a_list_without_the_children_of_one_that_has_ended_is_too_old() {
        let parents = [shard("1", &[]), shard("2", &[])];
        assert!(is_childless(&parents, "1"));
        let mut merged = parents.to_vec();
        merged.push(shard("3", &["1", "2"]));
        assert!(!is_childless(&merged, "1") && !is_childless(&merged, "2"));
        assert!(is_childless(&merged, "3"));
        assert!(!is_childless(&merged[2..], "1"), "retention took it");
    }
}
