//! The trials, a file for each group of clauses.

mod acks;
mod admin;
mod admission;
mod events;
mod keyed;
mod liveness;
mod nack;
mod order;
mod ownership;
mod prefix;
mod private;
mod producing;
mod receive;
mod refusals;
mod resize;
mod retention;
mod seek;
mod sharing;
mod start;
mod verification;

use crate::{Context, Failure, Harness, Outcome, Settings};
use anyhub_core::{Capabilities, Hub};
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// One clause put to the test.
#[derive(Clone, Copy)]
pub struct Trial {
    name: &'static str,
    rows: &'static [u8],
    needs: fn(&Capabilities) -> bool,
    body: fn(Context) -> BoxFuture<'static, Outcome>,
}

impl Trial {
    /// Its name, which begins with its clause: `C3_ack_is_durable_after_commit`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its clause: `C3`; `Checks` or `Admin` where it belongs to no single one.
    pub fn clause(&self) -> &'static str {
        self.name.split('_').next().unwrap_or_default()
    }

    /// The rows of the table of delivery checks that it covers.
    pub fn rows(&self) -> &'static [u8] {
        self.rows
    }

    /// Whether it applies to a hub that declares these capabilities.
    pub fn applies(&self, capabilities: &Capabilities) -> bool {
        (self.needs)(capabilities)
    }

    /// Runs it once on `hub`; `seed` decides what is left to chance.
    pub async fn run(
        &self,
        harness: Arc<dyn Harness>,
        hub: Arc<dyn Hub>,
        settings: Settings,
        seed: u64,
    ) -> Outcome {
        let limit: Duration = settings.trial_timeout;
        let ctx = Context::new(harness, hub, settings, self.name, seed);
        let outcome = timeout(limit, (self.body)(ctx.clone())).await;
        ctx.clean_up().await;
        outcome.unwrap_or_else(|_| {
            let waited_for = ctx.waited_for();
            Err(Failure::new(format!(
                "not done after {limit:?}, waiting for {waited_for}"
            )))
        })
    }
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All trials, in the order of the clauses.
pub fn trials() -> Vec<Trial> {
    [
        events::TRIALS,
        admission::TRIALS,
        producing::TRIALS,
        receive::TRIALS,
        liveness::TRIALS,
        acks::TRIALS,
        prefix::TRIALS,
        nack::TRIALS,
        order::TRIALS,
        start::TRIALS,
        seek::TRIALS,
        ownership::TRIALS,
        sharing::TRIALS,
        resize::TRIALS,
        private::TRIALS,
        retention::TRIALS,
        keyed::TRIALS,
        admin::TRIALS,
        refusals::TRIALS,
        verification::TRIALS,
    ]
    .concat()
}

/// A trial for the table of its file: name, body, rows of the checks, and which hubs it is for.
macro_rules! trial {
    ($name:literal, $body:path) => {
        trial!($name, $body, [])
    };
    ($name:literal, $body:path, [$($row:literal),*]) => {
        trial!($name, $body, [$($row),*], |_| true)
    };
    ($name:literal, $body:path, [$($row:literal),*], $needs:expr) => {
        $crate::trials::Trial::new($name, &[$($row),*], $needs, |ctx| Box::pin($body(ctx)))
    };
}
use trial;

impl Trial {
    const fn new(
        name: &'static str,
        rows: &'static [u8],
        needs: fn(&Capabilities) -> bool,
        body: fn(Context) -> BoxFuture<'static, Outcome>,
    ) -> Self {
        Self {
            name,
            rows,
            needs,
            body,
        }
    }
}
