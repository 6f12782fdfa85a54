//! C8 where a group shares one cursor: a seek of one member moves all.

use super::{
    Mutant,
    layer::{Fault, Faulty, ReadFault, Site, lock},
    unpartitioned::{one_partition, unpartitioned},
};
use anyhub_core::{Batch, Consumer, Hub, Point, Result};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "a_seek_moves_the_whole_group",
        "C8_an_exclusive_seek_moves_its_own_partitions",
        "after a seek of their owner alone",
        moves_all,
    ),
    Mutant::new(
        "a_shared_seek_moves_one_member",
        "C8_a_shared_seek_moves_the_group",
        "after a seek of the group",
        Fault::none,
    )
    .on(one_partition)
    .instead_of(unpartitioned),
];

/// The hub with one cursor for each group.
pub(super) fn with_one_cursor(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    Arc::new(Faulty::new(hub, moves_all(), 0))
}

fn moves_all() -> Fault {
    let cursors = Cursors::default();
    Fault::none().read(move |site| Box::new(Follows::new(&cursors, site)))
}

/// By topic and group.
type Cursors = Mutex<HashMap<(String, String), Arc<Cursor>>>;

/// Where the members of a group have gone, one after the other.
#[derive(Debug, Default)]
struct Cursor {
    seeks: Mutex<Vec<Point>>,
    sought: Notify,
}

/// Repeats what any other member of its group seeks.
#[derive(Debug)]
struct Follows {
    cursor: Arc<Cursor>,
    /// So many seeks are done.
    seen: usize,
}

impl Follows {
    fn new(cursors: &Cursors, site: &Site) -> Self {
        let cursor = match &site.options.group {
            Some(group) => {
                let of = (site.topic.clone(), group.clone());
                lock(cursors).entry(of).or_default().clone()
            }
            None => Arc::default(),
        };
        let seen = lock(&cursor.seeks).len();
        Self { cursor, seen }
    }

    fn next(&self) -> Option<Point> {
        lock(&self.cursor.seeks).get(self.seen).cloned()
    }
}

#[async_trait]
impl ReadFault for Follows {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let cursor = self.cursor.clone();
        loop {
            let sought = cursor.sought.notified();
            while let Some(to) = self.next() {
                inner.seek(to).await?;
                self.seen += 1;
            }
            tokio::select! {
                batch = inner.receive(max) => return batch,
                () = sought => {}
            }
        }
    }

    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner.seek(to.clone()).await?;
        let mut seeks = lock(&self.cursor.seeks);
        seeks.push(to);
        self.seen = seeks.len();
        drop(seeks);
        self.cursor.sought.notify_waiters();
        Ok(())
    }
}
