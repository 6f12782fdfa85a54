//! A small Azure Resource Manager: event hubs and consumer groups of one namespace, which it makes on the
//! stand-in, and answers that a test gives it beforehand.
//!
//! | what it answers | as in (all 2026-11) |
//! |---|---|
//! | addresses, `api-version`, an event hub, a consumer group, lists and `nextLink`, 200 to a put, 200 and 204 to a delete | Azure/azure-rest-api-specs, Microsoft.EventHub/stable/2024-01-01: eventhubs.json, consumergroups.json and their examples |
//! | `{"error":{"code","message"}}` | the same, ErrorResponse |
//! | ResourceNotFound | its text as in azure-sdk-for-net #34671 |
//! | ParentResourceNotFound | Azure documentation, "Resolve errors for parent resource not found" |
//! | BadRequest for what a tier doesn't have, Conflict, 429 | Azure documentation, "Azure Event Hubs - Resource Manager exceptions"; terraform-provider-azurerm #19029 |
//! | 401 without the token | Azure documentation, "Troubleshoot common Azure deployment errors" |

use anyhub_local::eventhubs::EventHubs;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, StatusCode, header::AUTHORIZATION},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const TOKEN: &str = "eyJ0eXAi-hunter2";
pub(crate) const SUBSCRIPTION: &str = "5f750a97-50d9-4e36-8081-c9ee4c0210d4";
const NAMESPACE: &str = "/subscriptions/5f750a97-50d9-4e36-8081-c9ee4c0210d4/resourceGroups/rg/providers\
                         /Microsoft.EventHub/namespaces/localhost";
/// Event hubs on a page.
const PAGE: usize = 2;

/// Its answers end with it.
pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<Now>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct Now {
    /// Where event hubs are made, if anywhere.
    pub(crate) stand_in: Option<Arc<EventHubs>>,
    /// Basic, Standard or Premium.
    pub(crate) tier: &'static str,
    /// Properties by name.
    pub(crate) hubs: BTreeMap<String, Value>,
    pub(crate) groups: BTreeSet<(String, String)>,
    /// What is answered first, whatever is asked.
    pub(crate) first: VecDeque<Canned>,
    /// How often an event hub that was put is not there yet, and then is still being made.
    pub(crate) not_found: usize,
    pub(crate) creating: usize,
    asked: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Canned {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Canned {
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".into())],
            body: json!({ "error": { "code": code, "message": message } }).to_string(),
        }
    }

    pub(crate) fn html(status: u16) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/html".into())],
            body: "<html><body>\n<h1>Who are you?</h1>\n</body></html>".into(),
        }
    }

    pub(crate) fn waiting(mut self, seconds: u64) -> Self {
        self.headers.push(("retry-after", seconds.to_string()));
        self
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let now = Now {
            tier: "Standard",
            ..Now::default()
        };
        let state = Arc::new(Mutex::new(now));
        let router = Router::new().fallback(answer).with_state(state.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, server }
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Now> {
        self.state.lock().unwrap()
    }

    /// What came since the last look, without what the addresses have in common.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.now().asked)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(state): State<Arc<Mutex<Now>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&body).unwrap(),
    };
    let mut now = state.lock().unwrap();
    let query = head.uri.query().unwrap_or_default();
    let within = head.uri.path().strip_prefix(NAMESPACE);
    let path = within.unwrap_or_else(|| head.uri.path());
    now.asked.push(format!("{} {path}", head.method));
    let canned = match now.first.pop_front() {
        Some(canned) => canned,
        None if !is_authorized(&head.headers) => Canned::error(
            401,
            "InvalidAuthenticationToken",
            "The access token is invalid.",
        ),
        None if !query.contains("api-version=2024-01-01") => Canned::error(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        ),
        None => match within {
            Some(within) => now.resource(&head.method, within, query, body, &head.headers),
            None => no_parent("namespaces/eventhubs", head.uri.path()),
        },
    };
    let mut response = Response::builder().status(StatusCode::from_u16(canned.status).unwrap());
    for (name, value) in canned.headers {
        response = response.header(name, value);
    }
    response.body(canned.body.into()).unwrap()
}

fn is_authorized(headers: &HeaderMap) -> bool {
    headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value == &format!("Bearer {TOKEN}"))
}

fn ok(body: &Value) -> Canned {
    Canned {
        status: 200,
        headers: vec![("content-type", "application/json; charset=utf-8".into())],
        body: body.to_string(),
    }
}

fn not_found(resource: &str) -> Canned {
    let message = format!(
        "The Resource 'Microsoft.EventHub/namespaces/localhost{resource}' under resource group 'rg' was \
         not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    Canned::error(404, "ResourceNotFound", &message)
}

pub(crate) fn no_parent(kind: &str, parent: &str) -> Canned {
    let message = format!(
        "Failed to perform 'read' on resource(s) of type '{kind}', because the parent resource '{parent}' \
         could not be found."
    );
    Canned::error(404, "ParentResourceNotFound", &message)
}

impl Now {
    fn resource(
        &mut self,
        method: &Method,
        within: &str,
        query: &str,
        body: Value,
        headers: &HeaderMap,
    ) -> Canned {
        let parts: Vec<&str> = within.split('/').skip(1).collect();
        match (method.as_str(), &parts[..]) {
            ("GET", ["eventhubs"]) => self.list(query, headers),
            ("GET", ["eventhubs", hub]) => self.get(hub, within),
            ("PUT", ["eventhubs", hub]) => self.put(hub, body),
            ("DELETE", ["eventhubs", hub]) => self.delete(hub),
            (method, ["eventhubs", hub, "consumergroups", group]) => {
                if !self.hubs.contains_key(*hub) {
                    let parent = format!("{NAMESPACE}/eventhubs/{hub}");
                    return no_parent("namespaces/eventhubs/consumergroups", &parent);
                }
                let key = ((*hub).to_owned(), (*group).to_owned());
                let there = *group == "$Default" || self.groups.contains(&key);
                match method {
                    "GET" if there => ok(&json!({ "name": group, "properties": {} })),
                    "GET" => not_found(within),
                    "PUT" if self.tier == "Basic" => Canned::error(
                        400,
                        "BadRequest",
                        "The operation can't be done on entity type 'ConsumerGroup' because the \
                         namespace 'localhost' is using 'Basic' tier.",
                    ),
                    "PUT" => {
                        if let Some(stand_in) = &self.stand_in {
                            stand_in.create_group(hub, group).unwrap();
                        }
                        self.groups.insert(key);
                        ok(&json!({ "name": group, "properties": {} }))
                    }
                    other => panic!("nothing should {other} a consumer group"),
                }
            }
            other => panic!("nothing should ask for {other:?}"),
        }
    }

    fn list(&self, query: &str, headers: &HeaderMap) -> Canned {
        let skip = query.split("$skip=").nth(1).unwrap_or("0");
        let skip: usize = skip.parse().unwrap();
        let page = self.hubs.iter().skip(skip).take(PAGE);
        let page: Vec<Value> = page.map(|(name, hub)| described(name, hub)).collect();
        let mut answer = json!({ "value": page });
        if self.hubs.len() > skip + PAGE {
            let host = headers.get("host").unwrap().to_str().unwrap();
            let skip = skip + PAGE;
            answer["nextLink"] =
                format!("http://{host}{NAMESPACE}/eventhubs?api-version=2024-01-01&$skip={skip}")
                    .into();
        }
        ok(&answer)
    }

    fn get(&mut self, hub: &str, within: &str) -> Canned {
        let Some(properties) = self.hubs.get(hub) else {
            return not_found(within);
        };
        if self.not_found > 0 {
            self.not_found -= 1;
            return not_found(within);
        }
        let mut answer = described(hub, properties);
        if self.creating > 0 {
            self.creating -= 1;
            answer["properties"]["status"] = "Creating".into();
        }
        ok(&answer)
    }

    fn put(&mut self, hub: &str, mut body: Value) -> Canned {
        let mut properties = body["properties"].take();
        let partitions = properties["partitionCount"].as_u64().unwrap();
        match self.hubs.get(hub) {
            Some(there) if there["partitionCount"] != partitions && self.tier != "Premium" => {
                return Canned::error(
                    400,
                    "BadRequest",
                    "SubCode=40000. PartitionCount cannot be changed for EventHub. \
                     TrackingId:a5cfc1c8-ebe6-402c-bf4c-86e0475cbc7b_M0SN1_M0SN1_G12, \
                     SystemTracker:localhost:t, Timestamp:2018-10-09T12:00:00",
                );
            }
            Some(_) => {}
            None => {
                if let Some(stand_in) = &self.stand_in {
                    stand_in
                        .create_hub(hub, u32::try_from(partitions).unwrap())
                        .unwrap();
                }
            }
        }
        if properties.get("retentionDescription").is_none() {
            let keeps = json!({ "cleanupPolicy": "Delete", "retentionTimeInHours": 168 });
            properties["retentionDescription"] = keeps;
        }
        properties["status"] = "Active".into();
        self.hubs.insert(hub.to_owned(), properties.clone());
        let mut answer = described(hub, &properties);
        if self.creating > 0 {
            answer["properties"]["status"] = "Creating".into();
        }
        ok(&answer)
    }

    fn delete(&mut self, hub: &str) -> Canned {
        let status = match self.hubs.remove(hub) {
            Some(_) => 200,
            None => 204,
        };
        if let Some(stand_in) = &self.stand_in {
            stand_in.delete_hub(hub).unwrap();
        }
        Canned {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

/// As it is told: with what can't be set.
fn described(name: &str, properties: &Value) -> Value {
    let mut properties = properties.clone();
    let hours = properties["retentionDescription"]["retentionTimeInHours"].as_u64();
    properties["messageRetentionInDays"] = hours.unwrap_or(24).div_ceil(24).into();
    let count = properties["partitionCount"].as_u64().unwrap_or_default();
    let ids: Vec<String> = (0..count).map(|id| id.to_string()).collect();
    properties["partitionIds"] = ids.into();
    properties["createdAt"] = "2017-06-28T02:45:55.877Z".into();
    properties["updatedAt"] = "2017-06-28T02:46:05.877Z".into();
    json!({
        "id": format!("{NAMESPACE}/eventhubs/{name}"),
        "name": name,
        "type": "Microsoft.EventHub/Namespaces/EventHubs",
        "properties": properties,
    })
}
