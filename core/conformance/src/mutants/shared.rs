//! C8 where a group shares one cursor, on a model of such a hub: a seek of one member moves all.

use super::{
    Mutant,
    layer::{Fault, Faulty, ReadFault, Shared, lock},
};
use anyhub_core::{Assignment, Batch, Consumer, Hub, Point, Result};
use async_trait::async_trait;
use std::sync::Arc;

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
        declares_shared,
    )
    .instead_of(with_shared_cursor),
];

fn declares_shared() -> Fault {
    Fault::none().capabilities(|mut capabilities| {
        capabilities.assignment = Assignment::Shared;
        capabilities
    })
}

fn moves_all() -> Fault {
    Fault::none().read(|site| {
        Box::new(Follows {
            id: site.shared.id(),
            shared: site.shared.clone(),
            seen: 0,
        })
    })
}

/// The hub with one cursor for each group.
fn with_shared_cursor(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    let fault = moves_all().capabilities(declares_shared().capabilities);
    Arc::new(Faulty::new(hub, fault, 0))
}

/// Repeats what any other member seeks.
#[derive(Debug)]
struct Follows {
    id: u64,
    shared: Arc<Shared>,
    seen: usize,
}

#[async_trait]
impl ReadFault for Follows {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        loop {
            let others: Vec<Point> = {
                let seeks = lock(&self.shared.seeks);
                let new = seeks[self.seen..].iter().filter(|(by, _)| *by != self.id);
                let new = new.map(|(_, to)| to.clone()).collect();
                self.seen = seeks.len();
                new
            };
            for to in others {
                inner.seek(to).await?;
            }
            tokio::select! {
                batch = inner.receive(max) => return batch,
                () = self.shared.sought.notified() => {}
            }
        }
    }

    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner.seek(to.clone()).await?;
        lock(&self.shared.seeks).push((self.id, to));
        self.shared.sought.notify_one();
        Ok(())
    }
}
