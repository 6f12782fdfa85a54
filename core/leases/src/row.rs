use std::{sync::Arc, time::Duration};

/// How far a group has come in a partition (C9): within a generation it only goes on; a seek opens
/// the next generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Raised by every seek.
    pub generation: u64,
    /// Everything up to here is done, as the hub's own text; None: nothing yet.
    pub position: Option<Arc<str>>,
    /// Everything is done and nothing more will come: the partition was resharded (C11).
    pub finished: bool,
}

impl Checkpoint {
    /// A checkpoint that is not at the partition's end.
    pub fn new(generation: u64, position: Option<Arc<str>>) -> Self {
        Self {
            generation,
            position,
            finished: false,
        }
    }
}

/// The row of a partition: who owns it, and how far its group has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The hub's name for the partition.
    pub partition: Arc<str>,
    /// The member that owns it.
    pub owner: Option<Arc<str>>,
    /// Raised at every write by its owner, from anywhere on: while it rises, the owner lives.
    pub counter: u64,
    /// Raised when the owner changes, and only then: the fence, and Event Hubs' epoch. It starts at
    /// the unix time in seconds at which the row was made, so that it also rises when a store is
    /// begun anew.
    pub takes: u64,
    /// How long after its last write the owner may be taken to be alive: its own promise, which
    /// others keep even where their options differ.
    pub term: Duration,
    /// How far the group has come.
    pub checkpoint: Checkpoint,
    /// The partitions that must be finished before this one is begun (C11); none once it is begun.
    pub parents: Vec<Arc<str>>,
    /// The member that would like to have it.
    pub asked_by: Option<Arc<str>>,
}

impl Lease {
    /// The row of a partition that no member has owned yet.
    pub fn new(partition: impl Into<Arc<str>>, takes: u64) -> Self {
        Self {
            partition: partition.into(),
            owner: None,
            counter: 0,
            takes,
            term: Duration::ZERO,
            checkpoint: Checkpoint::default(),
            parents: Vec::new(),
            asked_by: None,
        }
    }
}

/// The row of a member, so that one without a partition is known too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberRow {
    /// Its name, which no other member ever had.
    pub name: Arc<str>,
    /// Raised at every write: while it rises, the member lives.
    pub counter: u64,
    /// How long after its last write the member may be taken to be alive.
    pub term: Duration,
}

impl MemberRow {
    /// The row of a member.
    pub fn new(name: impl Into<Arc<str>>, counter: u64, term: Duration) -> Self {
        Self {
            name: name.into(),
            counter,
            term,
        }
    }
}

/// One row of a [`LeaseStore`](crate::LeaseStore). Shared, since a listing is read by the second.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Row {
    /// A partition.
    Lease(Arc<Lease>),
    /// A member.
    Member(Arc<MemberRow>),
}

impl Row {
    /// What names the row within its scope.
    pub fn key(&self) -> Key {
        match self {
            Self::Lease(lease) => Key::Lease(lease.partition.clone()),
            Self::Member(member) => Key::Member(member.name.clone()),
        }
    }
}

impl From<Lease> for Row {
    fn from(lease: Lease) -> Self {
        Self::Lease(Arc::new(lease))
    }
}

impl From<MemberRow> for Row {
    fn from(member: MemberRow) -> Self {
        Self::Member(Arc::new(member))
    }
}

/// Names a row within its scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Key {
    /// The row of this partition.
    Lease(Arc<str>),
    /// The row of this member.
    Member(Arc<str>),
}

/// Which write of a row: what compare-and-swap compares. A store never gives one row the same
/// version for two different contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Number(u64),
    Tag(Arc<(Option<String>, Option<String>)>),
}

impl Version {
    /// Of a store that counts its writes.
    pub fn number(number: u64) -> Self {
        Self(Kind::Number(number))
    }

    /// Of an object store: the entity tag and the version id, as far as it gives them.
    pub fn tag(e_tag: Option<String>, version: Option<String>) -> Self {
        Self(Kind::Tag(Arc::new((e_tag, version))))
    }

    /// The number, of a store that counts.
    pub fn as_number(&self) -> Option<u64> {
        match self.0 {
            Kind::Number(number) => Some(number),
            Kind::Tag(_) => None,
        }
    }

    /// The entity tag and the version id, of an object store.
    pub fn as_tag(&self) -> Option<(Option<&str>, Option<&str>)> {
        match &self.0 {
            Kind::Number(_) => None,
            Kind::Tag(tag) => Some((tag.0.as_deref(), tag.1.as_deref())),
        }
    }
}

/// A row as it was read, and which write of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The row.
    pub row: Row,
    /// Which write of it.
    pub version: Version,
}

impl Stored {
    /// A row with its version.
    pub fn new(row: Row, version: Version) -> Self {
        Self { row, version }
    }
}
