//! Event hubs by Azure Resource Manager, on a small one.
#![allow(missing_docs, clippy::unwrap_used)]

mod fake;
mod life;
mod refusals;
mod waits;

use anyhub_core::{Error, Hub, HubUrl};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    time::{Duration, OffsetDateTime},
};
use fake::{Fake, SUBSCRIPTION, TOKEN};
use std::sync::{Arc, Mutex};

/// Gives one token, and keeps what it was asked for.
#[derive(Debug, Default)]
struct Fixed {
    scopes: Mutex<Vec<String>>,
}

#[async_trait]
impl TokenCredential for Fixed {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut asked = self.scopes.lock().unwrap();
        asked.extend(scopes.iter().map(|scope| (*scope).to_owned()));
        let expires = OffsetDateTime::now_utc() + Duration::hours(1);
        Ok(AccessToken::new(TOKEN, expires))
    }
}

/// The settings by URL, and a key for AMQP: nobody listens there, unless a test says otherwise.
fn config(endpoint: &str) -> EventHubsConfig {
    let url = format!(
        "eventhubs://localhost/t?endpoint=amqp://127.0.0.1:9&leases=memory&subscription={SUBSCRIPTION}\
         &resource_group=rg&management_endpoint={endpoint}"
    );
    let url: HubUrl = url.parse().unwrap();
    let key = "Endpoint=sb://localhost/;SharedAccessKeyName=RootManageSharedAccessKey;\
               SharedAccessKey=SAS_KEY_VALUE";
    EventHubsConfig::from_url(&url)
        .unwrap()
        .token_credential(Arc::new(Fixed::default()))
        .connection_string(key)
}

/// A hub of which only Resource Manager answers.
fn alone(fake: &Fake) -> EventHubsHub {
    EventHubsHub::new(config(&fake.url)).unwrap()
}

async fn list(hub: &EventHubsHub) -> Result<Vec<String>, Error> {
    hub.admin().list_topics().await
}
