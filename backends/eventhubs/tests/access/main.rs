//! Who gets in by a token of Microsoft Entra ID, and the SDK's own clients by either way to get in, on the
//! stand-in.
#![allow(missing_docs, clippy::unwrap_used)]

mod clients;
mod identity;
mod tokens;

use anyhub_eventhubs::EventHubsConfig;
use anyhub_local::eventhubs::EventHubs;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// More than anything here takes, but for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

fn server() -> Arc<EventHubs> {
    Arc::new(EventHubs::builder().hub("t", 2).start().unwrap())
}

fn config(server: &EventHubs) -> EventHubsConfig {
    EventHubsConfig::new()
        .namespace("localhost")
        .endpoint(server.endpoint())
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it is done in time")
}
