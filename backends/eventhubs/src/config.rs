use crate::{
    error::{HUB, config},
    name,
    provision::Provisioner,
    resource_manager,
};
use anyhub_core::{HubUrl, Result, Secret, one_of, shown};
use anyhub_groups::{LeasesIn, check_lease_time, lease_time};
use anyhub_leases::LeaseStore;
use azure_core::credentials::TokenCredential;
use serde::Deserialize;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// Where an Event Hubs namespace is, who asks, and how events are spread.
///
/// A URL says the same: `eventhubs://NAMESPACE.servicebus.windows.net/HUB?option=value`. Secrets never
/// stand in it. Who asks is found in this order:
///
/// 1. `credential=`, an identity of Microsoft Entra ID;
/// 2. `connection_string_file=`, a file with a connection string;
/// 3. the environment variable `EVENTHUBS_CONNECTION_STRING`, where the URL names its namespace or none:
///    for a server on this machine that goes by another one it is not used, and elsewhere that is Config;
/// 4. with an endpoint on this machine, the key that Microsoft's emulator takes;
/// 5. Microsoft Entra ID by the developer's tools, as after `az login`.
///
/// With a connection string the namespace may be left out, as in `eventhubs:/HUB`.
///
/// | option | what | default |
/// |---|---|---|
/// | `endpoint` | another address: a private endpoint, the emulator; `amqp:`, in the clear, on this machine alone | the connection string's: `amqps://NAMESPACE:5671`, or its port; with `UseDevelopmentEmulator=true` `amqp:`, port 5672 |
/// | `connection_string_file` | the file that holds the connection string | none |
/// | `credential` | `managed_identity`, `workload_identity`, `client_secret` (by `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`), `azure_cli` or `developer_tools` | as above |
/// | `partitioning` | `hash`: the partition of a key is chosen here, as Microsoft's clients choose it; `service`: Event Hubs chooses, for hubs that others write to by key | `hash` |
/// | `reader_group` | the consumer group as which consumers without a group read | `$Default` |
/// | `leases` | where groups keep who reads what and how far: `memory` (of this hub alone: forgotten when the process ends), `sqlite:FILE` (of this machine, and kept; not to be removed while it has members); in an object store, by [`store`](Self::store) | none: a group is refused |
/// | `lease_time` | how long a member that died keeps its partitions; members may differ | `10s` |
/// | `subscription`, `resource_group` | where the namespace is in Azure: with both, event hubs and consumer groups are made, changed and deleted by Azure Resource Manager | none: that is Unsupported, and consumer groups have to be there |
/// | `management_endpoint` | Azure Resource Manager of another cloud; `http:`, in the clear, on this machine alone | `https://management.azure.com` |
///
/// Azure Resource Manager takes tokens of Microsoft Entra ID alone, whoever sends and reads: those of
/// [`token_credential`](Self::token_credential) or `credential`, else of the developer's tools. To make
/// and change takes the role Contributor or Azure Event Hubs Data Owner.
///
/// Debug leaves out what may be secret, wherever it stands.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EventHubsConfig {
    /// The namespace's host; None: the connection string's.
    pub namespace: Option<String>,
    /// Another address than the namespace's own: `amqps://HOST:PORT`, or `amqp:` on this machine.
    pub endpoint: Option<String>,
    /// The connection string itself; it stands above all other ways to authenticate.
    pub connection_string: Option<Secret>,
    /// The file that holds the connection string.
    pub connection_string_file: Option<PathBuf>,
    /// Which identity of Microsoft Entra ID asks.
    pub credential: Option<Identity>,
    /// Who chooses the partition of a key.
    pub partitioning: Partitioning,
    /// The consumer group as which consumers without a group read.
    pub reader_group: String,
    /// Where groups are kept; None: a consumer with a group is refused.
    pub leases: Option<LeasesIn>,
    /// How long a member that died keeps its partitions. 10 s; at least 100 ms.
    ///
    /// Members may differ: each writes its own into the rows that it owns, and others wait as long as
    /// the owner's row says. `Admin::list_groups` and `delete_group` watch for signs of life, since no
    /// clock is shared: they take a third of it, or all of it while the row of a member is left that
    /// died and that no other one has cleared away.
    pub lease_time: Duration,
    /// A store of your own in the place of [`leases`](Self::leases), such as
    /// [`ObjectLeases`](crate::leases) on Azure Blob Storage, for members on many machines.
    #[serde(skip)]
    pub store: Option<Arc<dyn LeaseStore>>,
    /// A credential of your own for Microsoft Entra ID, in the place of [`credential`](Self::credential).
    #[serde(skip)]
    pub token_credential: Option<Arc<dyn TokenCredential>>,
    /// The subscription of the namespace, by its ID; together with
    /// [`resource_group`](Self::resource_group), or not at all.
    pub subscription: Option<String>,
    /// The resource group of the namespace.
    pub resource_group: Option<String>,
    /// Another address of Azure Resource Manager, without a path.
    pub management_endpoint: Option<String>,
    /// Who makes and deletes event hubs for [`Admin`](anyhub_core::Admin), in the place of Azure
    /// Resource Manager.
    #[serde(skip)]
    pub provisioner: Option<Arc<dyn Provisioner>>,
}

/// An identity of Microsoft Entra ID, by where it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Identity {
    /// The one that Azure gives to the machine or service.
    ManagedIdentity,
    /// The one of a Kubernetes workload.
    WorkloadIdentity,
    /// A service principal with a secret, by `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    /// `AZURE_CLIENT_SECRET`.
    ClientSecret,
    /// The one that `az login` has signed in.
    AzureCli,
    /// The first of the developer's tools that is signed in.
    DeveloperTools,
}

/// Who chooses the partition of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Partitioning {
    /// This producer, by the hash that Microsoft's clients use. Receipts name the partition. Microsoft
    /// warns that Event Hubs itself may choose another one for the same key.
    #[default]
    Hash,
    /// Event Hubs: a key of this producer stands where those of other producers stand that send by
    /// key.
    Service,
}

const OPTIONS: [&str; 10] = [
    "endpoint",
    "connection_string_file",
    "credential",
    "partitioning",
    "reader_group",
    "leases",
    "lease_time",
    "subscription",
    "resource_group",
    "management_endpoint",
];

/// The group that every event hub has.
const DEFAULT_GROUP: &str = "$Default";

impl Default for EventHubsConfig {
    fn default() -> Self {
        Self {
            namespace: None,
            endpoint: None,
            connection_string: None,
            connection_string_file: None,
            credential: None,
            partitioning: Partitioning::Hash,
            reader_group: DEFAULT_GROUP.to_owned(),
            leases: None,
            lease_time: Duration::from_secs(10),
            store: None,
            token_credential: None,
            subscription: None,
            resource_group: None,
            management_endpoint: None,
            provisioner: None,
        }
    }
}

impl EventHubsConfig {
    /// The namespace of the connection string, and the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`namespace`](Self::namespace).
    pub fn namespace(mut self, host: impl Into<String>) -> Self {
        self.namespace = Some(host.into());
        self
    }

    /// Sets [`endpoint`](Self::endpoint).
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets [`connection_string`](Self::connection_string).
    pub fn connection_string(mut self, text: impl Into<String>) -> Self {
        self.connection_string = Some(Secret::new(text));
        self
    }

    /// Sets [`connection_string_file`](Self::connection_string_file).
    pub fn connection_string_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.connection_string_file = Some(file.into());
        self
    }

    /// Sets [`credential`](Self::credential).
    pub fn credential(mut self, identity: Identity) -> Self {
        self.credential = Some(identity);
        self
    }

    /// Sets [`partitioning`](Self::partitioning).
    pub fn partitioning(mut self, which: Partitioning) -> Self {
        self.partitioning = which;
        self
    }

    /// Sets [`reader_group`](Self::reader_group).
    pub fn reader_group(mut self, group: impl Into<String>) -> Self {
        self.reader_group = group.into();
        self
    }

    /// Sets [`leases`](Self::leases).
    pub fn leases(mut self, place: LeasesIn) -> Self {
        self.leases = Some(place);
        self
    }

    /// Sets [`store`](Self::store).
    pub fn store(mut self, store: Arc<dyn LeaseStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets [`lease_time`](Self::lease_time).
    pub fn lease_time(mut self, time: Duration) -> Self {
        self.lease_time = time;
        self
    }

    /// Sets [`token_credential`](Self::token_credential).
    pub fn token_credential(mut self, credential: Arc<dyn TokenCredential>) -> Self {
        self.token_credential = Some(credential);
        self
    }

    /// Sets [`subscription`](Self::subscription).
    pub fn subscription(mut self, id: impl Into<String>) -> Self {
        self.subscription = Some(id.into());
        self
    }

    /// Sets [`resource_group`](Self::resource_group).
    pub fn resource_group(mut self, name: impl Into<String>) -> Self {
        self.resource_group = Some(name.into());
        self
    }

    /// Sets [`management_endpoint`](Self::management_endpoint).
    pub fn management_endpoint(mut self, url: impl Into<String>) -> Self {
        self.management_endpoint = Some(url.into());
        self
    }

    /// Sets [`provisioner`](Self::provisioner).
    pub fn provisioner(mut self, provisioner: Arc<dyn Provisioner>) -> Self {
        self.provisioner = Some(provisioner);
        self
    }

    /// What a URL says. Config for an option that is none, or a value that can't be.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        url.refuse_unknown_options(&OPTIONS)?;
        check_place(url)?;
        let mut this = Self::new();
        if !url.authority().is_empty() {
            this.namespace = Some(url.authority().to_owned());
        }
        for (name, value) in url.options() {
            match name {
                "endpoint" => this.endpoint = Some(value.to_owned()),
                "connection_string_file" => this.connection_string_file = Some(value.into()),
                "credential" => {
                    let all = [
                        ("managed_identity", Identity::ManagedIdentity),
                        ("workload_identity", Identity::WorkloadIdentity),
                        ("client_secret", Identity::ClientSecret),
                        ("azure_cli", Identity::AzureCli),
                        ("developer_tools", Identity::DeveloperTools),
                    ];
                    this.credential = Some(one_of(HUB, "connect", name, value, &all)?);
                }
                "partitioning" => {
                    let all = [
                        ("hash", Partitioning::Hash),
                        ("service", Partitioning::Service),
                    ];
                    this.partitioning = one_of(HUB, "connect", name, value, &all)?;
                }
                "reader_group" => this.reader_group = value.to_owned(),
                "leases" => this.leases = Some(LeasesIn::from_option(HUB, value)?),
                "lease_time" => this.lease_time = lease_time(HUB, value)?,
                "subscription" => this.subscription = Some(value.to_owned()),
                "resource_group" => this.resource_group = Some(value.to_owned()),
                "management_endpoint" => this.management_endpoint = Some(value.to_owned()),
                _ => {}
            }
        }
        this.check()?;
        Ok(this)
    }

    /// Config for a value that can't be.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(namespace) = &self.namespace
            && !is_host(namespace)
        {
            return Err(
                config(format!("'{}' is no namespace", shown(namespace))).with_advice(
                    "it is as NAME.servicebus.windows.net; another address goes into endpoint=",
                ),
            );
        }
        if let Some(text) = &self.endpoint {
            let Some(endpoint) = Endpoint::parse(text) else {
                return Err(config(format!("'{}' is no endpoint", shown(text))).with_advice(
                    "it looks like amqps://HOST or amqp://127.0.0.1:5672; keys stand in a connection string",
                ));
            };
            if !endpoint.tls && !endpoint.is_local() {
                return Err(
                    config(format!("'{}' would send tokens in the clear", shown(text)))
                        .with_advice("amqps: is for every machine, amqp: for this one alone"),
                );
            }
        }
        if self.reader_group.is_empty() {
            return Err(config("reader_group is empty")
                .with_advice(format!("every event hub has {DEFAULT_GROUP}")));
        }
        resource_manager::check(self)?;
        check_lease_time(HUB, self.lease_time)
    }

    /// Whether the endpoint is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let endpoint = self.endpoint.as_deref().and_then(Endpoint::parse);
        endpoint.is_some_and(|endpoint| endpoint.is_local())
    }
}

/// Config for an event hub in the place of the namespace, and for more than an event hub in its own.
fn check_place(url: &HubUrl) -> Result<()> {
    let host = url.authority();
    let Ok(topic) = url.topic() else {
        // Hosts of namespaces have dots.
        let is_topic = !host.is_empty() && !host.contains('.') && host != "localhost";
        let has_endpoint = url.options().any(|(name, _)| name == "endpoint");
        if is_topic && !has_endpoint && name::can_be_hub(host) {
            return Err(config(format!("'{0}' is no namespace", shown(host))).with_advice(format!(
                "an event hub stands behind its namespace, as in \
                 eventhubs://NAME.servicebus.windows.net/{0}, or, with a connection string, behind one \
                 slash: eventhubs:/{0}",
                shown(host)
            )));
        }
        return Ok(());
    };
    match name::can_be_hub(topic) {
        true => Ok(()),
        false => Err(
            config(format!("'{}' can't be an event hub's name", shown(topic))).with_advice(
                "up to 256 letters, digits, '.', '-' and '_', as in \
                 eventhubs://NAME.servicebus.windows.net/HUB or eventhubs:/HUB",
            ),
        ),
    }
}

impl fmt::Debug for EventHubsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.connection_string_file.as_ref();
        let file = file.map(|file| shown(&file.to_string_lossy()).to_owned());
        f.debug_struct("EventHubsConfig")
            .field("namespace", &self.namespace.as_deref().map(shown))
            .field("endpoint", &self.endpoint.as_deref().map(shown))
            .field("connection_string", &self.connection_string)
            .field("connection_string_file", &file)
            .field("credential", &self.credential)
            .field("partitioning", &self.partitioning)
            .field("reader_group", &shown(&self.reader_group))
            .field("leases", &self.leases)
            .field("lease_time", &self.lease_time)
            .field("store", &self.store)
            .field("token_credential", &self.token_credential)
            .field("subscription", &self.subscription.as_deref().map(shown))
            .field("resource_group", &self.resource_group.as_deref().map(shown))
            .field(
                "management_endpoint",
                &self.management_endpoint.as_deref().map(shown),
            )
            .field("provisioner", &self.provisioner)
            .finish()
    }
}

/// `amqps://HOST:PORT`, taken apart.
struct Endpoint<'a> {
    tls: bool,
    host: &'a str,
}

impl<'a> Endpoint<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme {
            "amqps" => true,
            "amqp" => false,
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
        (port_fits && is_host_or_ipv6(host)).then_some(Self { tls, host })
    }

    fn is_local(&self) -> bool {
        let host = self.host;
        host == "localhost" || host == "[::1]" || {
            let address = host.parse::<std::net::Ipv4Addr>();
            address.is_ok_and(|address| address.is_loopback())
        }
    }
}

/// A host's name or address, one of IPv6 in brackets.
pub(crate) fn is_host_or_ipv6(text: &str) -> bool {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    is_host(text) || inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "config_tests.rs"]
mod tests;
