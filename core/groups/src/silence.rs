//! An application that does nothing any more loses its partitions (C2).

use crate::{Log, shared::Shared, state::Presence};
use std::{sync::Weak, time::Duration};
use tokio::time::sleep;

/// Runs until the consumer is gone; nothing of it waits for the store of the leases.
pub(crate) async fn watch<L: Log>(shared: &Weak<Shared<L>>) {
    while let Some(strong) = shared.upgrade() {
        if matches!(strong.state().presence, Presence::Closed) {
            return;
        }
        let left = strong.time_left();
        if left == Some(Duration::ZERO) {
            strong.withdraw();
            continue;
        }
        // A silence that begins meanwhile ends later than that.
        let pause = left.unwrap_or(strong.options.max_processing);
        drop(strong);
        sleep(pause).await;
    }
}

impl<L: Log> Shared<L> {
    /// How long the application may still go without calling `receive`; None while it does.
    fn time_left(&self) -> Option<Duration> {
        let state = self.state();
        let member = matches!(state.presence, Presence::Member { .. });
        let since = state.away_since.filter(|_| member)?;
        Some(self.options.max_processing.saturating_sub(since.elapsed()))
    }

    /// Leaves the group until `receive` is called again: the partitions go to others at once, and what
    /// was delivered comes again there (C2).
    fn withdraw(&self) {
        let state = &mut *self.state();
        // It may have come back, or be closed, just now.
        if !matches!(state.presence, Presence::Member { .. }) || state.away_since.is_none() {
            return;
        }
        let away = Presence::Away { leaving: None };
        let presence = std::mem::replace(&mut state.presence, away);
        self.lose_all(state);
        tracing::warn!(
            hub = L::HUB,
            limit = ?self.options.max_processing,
            "receive was not called for max_processing: its partitions go to others"
        );
        if let Presence::Member { leases, .. } = presence {
            let leaving = tokio::spawn(async move {
                if let Err(error) = leases.leave().await {
                    tracing::warn!(hub = L::HUB, %error, "its partitions go once their leases run out");
                }
            });
            state.presence = Presence::Away {
                leaving: Some(leaving),
            };
        }
    }
}
