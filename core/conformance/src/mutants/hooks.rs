//! Faults that are no more than a change to what passes.

use super::layer::{ReadFault, Site, WriteFault, lock};
use anyhub_core::{Acks, Batch, Consumer, Event, Pending, Producer, Result};
use async_trait::async_trait;
use rand_pcg::Pcg64Mcg;
use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// What each event becomes on its way into the log.
pub(crate) struct Each(pub(crate) fn(Event) -> Event);

impl fmt::Debug for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Each")
    }
}

#[async_trait]
impl WriteFault for Each {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        inner.submit(batch.into_iter().map(self.0).collect()).await
    }
}

/// What a batch becomes on its way into the log.
pub(crate) struct OnSubmit {
    rng: Mutex<Pcg64Mcg>,
    change: fn(Vec<Event>, &mut Pcg64Mcg) -> Vec<Event>,
}

impl OnSubmit {
    pub(crate) fn boxed(
        site: &Site,
        change: fn(Vec<Event>, &mut Pcg64Mcg) -> Vec<Event>,
    ) -> Box<dyn WriteFault> {
        Box::new(Self {
            rng: Mutex::new(site.rng()),
            change,
        })
    }
}

impl fmt::Debug for OnSubmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnSubmit")
    }
}

#[async_trait]
impl WriteFault for OnSubmit {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let batch = (self.change)(batch, &mut lock(&self.rng));
        inner.submit(batch).await
    }
}

/// What a batch becomes on its way to the application.
pub(crate) struct OnBatch {
    rng: Pcg64Mcg,
    change: fn(&mut Batch, &Acks, &mut Pcg64Mcg),
}

impl OnBatch {
    pub(crate) fn boxed(
        site: &Site,
        change: fn(&mut Batch, &Acks, &mut Pcg64Mcg),
    ) -> Box<dyn ReadFault> {
        Box::new(Self {
            rng: site.rng(),
            change,
        })
    }
}

impl fmt::Debug for OnBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnBatch")
    }
}

#[async_trait]
impl ReadFault for OnBatch {
    fn batch(&mut self, inner: &mut Box<dyn Consumer>, batch: &mut Batch) {
        (self.change)(batch, &inner.acks(), &mut self.rng);
    }
}
