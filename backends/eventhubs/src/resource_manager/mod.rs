//! Event hubs and consumer groups made, changed and deleted by Azure Resource Manager.
//!
//! Source: Azure/azure-rest-api-specs, Microsoft.EventHub/stable/2024-01-01 (2026-11).

mod answer;
mod call;
mod description;
mod place;

use crate::{
    config::EventHubsConfig,
    error::{HUB, incomplete, no_topic},
    provision::Provisioner,
};
use answer::{Answer, Missing, not_there};
use anyhub_core::{Error, ErrorKind, Result, Retention, TopicConfig};
use async_trait::async_trait;
use azure_core::{
    credentials::TokenCredential,
    http::{Method, Url},
};
use call::{Doing, Http};
use description::{Description, hours};
use place::{About, Place};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

pub(crate) use place::check;

/// The namespace as Azure Resource Manager knows it. Cancelled, an operation may or may not be done.
#[derive(Debug)]
pub(crate) struct ResourceManager {
    place: Place,
    http: Http,
}

/// How soon one looks again at what is not ready yet, at first and at last.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(2);
/// Pages of a list: more than there can be event hubs in any namespace.
const PAGES: usize = 1_000;

impl ResourceManager {
    /// None where the settings name no subscription.
    pub(crate) fn of(
        settings: &EventHubsConfig,
        host: &str,
        credential: impl FnOnce() -> Result<Arc<dyn TokenCredential>>,
    ) -> Result<Option<Self>> {
        let Some(place) = Place::of(settings, host)? else {
            return Ok(None);
        };
        let http = Http::new(&place, credential()?);
        Ok(Some(Self { place, http }))
    }

    async fn send(
        &self,
        doing: Doing,
        method: Method,
        about: About<'_>,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let url = self.place.url(doing.operation, about)?;
        self.http.send(doing, method, url, body, about).await
    }

    /// None if it is not there, though all that it would be in is.
    async fn find(&self, doing: Doing, about: About<'_>) -> Result<Option<Value>> {
        let answer = self.send(doing, Method::Get, about, None).await?;
        match answer.missing(&self.place, about) {
            Some(Missing::Itself) => Ok(None),
            Some(missing) => Err(not_there(missing, doing.operation, &self.place, about)),
            None => self.told(doing, answer, about).map(Some),
        }
    }

    async fn put(&self, doing: Doing, about: About<'_>, body: &Value) -> Result<Value> {
        let answer = self.send(doing, Method::Put, about, Some(body)).await?;
        self.told(doing, answer, about)
    }

    fn told(&self, doing: Doing, answer: Answer, about: About<'_>) -> Result<Value> {
        match answer.is_success() {
            true => answer.into_body(doing.operation),
            false => Err(answer.refused(doing.operation, &self.place, about)),
        }
    }

    /// Puts an event hub, and waits until it is as it is to be.
    async fn settle(&self, doing: Doing, hub: &str, description: Description) -> Result<()> {
        let about = About::Hub(hub);
        let told = self.put(doing, about, &description.into_body()).await?;
        let mut told = Some(told);
        let mut pause = SOON;
        loop {
            // What was just made may not be found at first.
            let is_changing = match &told {
                Some(told) => Description::read(doing.operation, told)?.is_changing(),
                None => true,
            };
            if !is_changing {
                return Ok(());
            }
            sleep(pause).await;
            pause = (pause * 2).min(LATER);
            told = self.find(doing, about).await?;
        }
    }

    async fn described(&self, doing: Doing, hub: &str) -> Result<Description> {
        let told = self.find(doing, About::Hub(hub)).await?;
        let told = told.ok_or_else(|| no_topic(doing.operation, hub))?;
        Description::read(doing.operation, &told)
    }

    /// The names on a page, and where the next one is.
    async fn page(&self, doing: Doing, url: Url) -> Result<(Vec<String>, Option<Url>)> {
        let about = About::Hubs;
        let answer = self.http.send(doing, Method::Get, url, None, about).await?;
        let told = self.told(doing, answer, about)?;
        let all = told.get("value").and_then(Value::as_array);
        let all = all.ok_or_else(|| incomplete(doing.operation, "event hubs"))?;
        let name = |hub: &Value| hub.get("name")?.as_str().map(str::to_owned);
        let names: Option<Vec<_>> = all.iter().map(name).collect();
        let names = names.ok_or_else(|| incomplete(doing.operation, "name of an event hub"))?;
        let link = told.get("nextLink").and_then(Value::as_str);
        let link = link.filter(|link| !link.is_empty());
        let next = link.map(|link| self.place.next(doing.operation, link));
        Ok((names, next.transpose()?))
    }
}

#[async_trait]
impl Provisioner for ResourceManager {
    /// A put makes or changes, so it is looked for first; of two that make one at once, the later wins.
    async fn create_hub(&self, hub: &TopicConfig) -> Result<()> {
        let doing = Doing::new("create_topic");
        let description = Description::new(doing.operation, hub)?;
        let making = async {
            if self.find(doing, About::Hub(&hub.name)).await?.is_some() {
                let message = format!("there is an event hub '{}' already", hub.name);
                let kind = ErrorKind::AlreadyExists;
                return Err(Error::new(kind, HUB, doing.operation, message));
            }
            self.settle(doing, &hub.name, description).await
        };
        doing.within(making).await
    }

    /// Returns once it is gone.
    async fn delete_hub(&self, hub: &str) -> Result<()> {
        let doing = Doing::new("delete_topic");
        let about = About::Hub(hub);
        let deleting = async {
            // A deletion that is tried again would not find what it has deleted.
            self.described(doing, hub).await?;
            let answer = self.send(doing, Method::Delete, about, None).await?;
            if !answer.is_success() && answer.missing(&self.place, about) != Some(Missing::Itself) {
                return Err(answer.refused(doing.operation, &self.place, about));
            }
            let mut pause = SOON;
            while self.find(doing, about).await?.is_some() {
                sleep(pause).await;
                pause = (pause * 2).min(LATER);
            }
            Ok(())
        };
        doing.within(deleting).await
    }

    async fn list_hubs(&self) -> Result<Vec<String>> {
        let doing = Doing::new("list_topics");
        let listing = async {
            let mut names = Vec::new();
            let mut next = Some(self.place.url(doing.operation, About::Hubs)?);
            for _ in 0..PAGES {
                let Some(url) = next else {
                    return Ok(names);
                };
                let (some, link) = self.page(doing, url).await?;
                names.extend(some);
                next = link;
            }
            let message = "the list of event hubs has no end";
            let kind = ErrorKind::Unexpected;
            Err(Error::new(kind, HUB, doing.operation, message))
        };
        doing.within(listing).await
    }

    async fn set_partitions(&self, hub: &str, partitions: u32) -> Result<()> {
        let doing = Doing::new("set_partitions");
        let changing = async {
            let mut description = self.described(doing, hub).await?;
            description.set_partitions(partitions);
            self.settle(doing, hub, description).await
        };
        doing.within(changing).await
    }

    async fn set_retention(&self, hub: &str, retention: &Retention) -> Result<()> {
        let doing = Doing::new("set_retention");
        let Some(hours) = hours(doing.operation, retention)? else {
            return Ok(());
        };
        let changing = async {
            let mut description = self.described(doing, hub).await?;
            description.set_hours(doing.operation, hours)?;
            self.settle(doing, hub, description).await
        };
        doing.within(changing).await
    }

    /// Looks first: a put would clear what others have written to it, and takes more rights.
    async fn ensure_group(&self, hub: &str, group: &str) -> Result<()> {
        let doing = Doing::new("consumer");
        let about = About::Group { hub, group };
        let ensuring = async {
            if self.find(doing, about).await?.is_none() {
                self.put(doing, about, &json!({ "properties": {} })).await?;
            }
            Ok(())
        };
        doing.within(ensuring).await
    }
}
