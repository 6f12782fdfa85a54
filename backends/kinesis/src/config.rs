use crate::{
    client::{NAMES, is_name},
    error::{HUB, config},
};
use anyhub_core::{HubUrl, Result, one_of, shown};
use anyhub_groups::{LeasesIn, check_lease_time, lease_time};
use anyhub_leases::LeaseStore;
use serde::Deserialize;
use std::{fmt, sync::Arc, time::Duration};

/// Where Kinesis is, and how to use it.
///
/// A URL says the same: `kinesis://REGION/STREAM?option=value`. Without a region, as in
/// `kinesis:/STREAM`, it is the one that the SDK's usual chain gives (`AWS_REGION`, the profile).
/// STREAM is a stream's name or its ARN. Credentials come from the SDK's usual chain: environment,
/// profiles, SSO, a container's or machine's role; they never stand in a URL.
///
/// | option | what | default |
/// |---|---|---|
/// | `endpoint` | another address: a VPC endpoint, LocalStack, a local server | AWS's for the region |
/// | `aggregate` | `key`: events of one key travel together in one record, as the KPL packs them; `shard`: those of all keys of a shard; `off`: an event a record | `key` |
/// | `max_batch_bytes` | bytes of one PutRecords | 10 MiB |
/// | `max_record_bytes` | bytes of one record, as the stream's MaxRecordSize allows | 1 MiB |
/// | `envelope` | `on`: headers travel in front of the payload | `off`: no headers |
/// | `read_share` | what each consumer takes of a shard's 5 reads and 2 MiB a second, so that two groups at `0.5` leave each other room; `off` to read without pause | `1` |
/// | `fanout` | read by SubscribeToShard as this registered consumer | GetRecords |
/// | `leases` | where consumer groups are kept: `memory` (of this hub alone: forgotten when the process ends), `sqlite:FILE` (of this machine, and kept; not to be removed while it has members); in an object store, by [`store`](Self::store) | none: a group is refused |
/// | `lease_time` | how long a member that died keeps its shards; members may differ | `10s` |
///
/// With an endpoint on this machine and no `AWS_ACCESS_KEY_ID`, made-up credentials do.
/// Debug leaves out what may be secret, wherever it stands.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KinesisConfig {
    /// The region; None: by the SDK's usual chain.
    pub region: Option<String>,
    /// Another address than AWS's for the region.
    pub endpoint: Option<String>,
    /// Which events travel together in one record.
    pub aggregate: Aggregation,
    /// The most bytes of one PutRecords, keys and data. 10 MiB.
    pub max_batch_bytes: usize,
    /// The most bytes of one record, key and data. 1 MiB.
    pub max_record_bytes: usize,
    /// Whether headers travel in front of the payload; readers have to know.
    pub envelope: bool,
    /// What of a shard's read limits each consumer takes, above 0 to 1; None: it does not pause.
    pub read_share: Option<f64>,
    /// The registered consumer to read as, by SubscribeToShard; it is registered if it is not there.
    pub fanout: Option<String>,
    /// Where consumer groups are kept; None: a consumer with a group is refused.
    pub leases: Option<LeasesIn>,
    /// How long a member that died keeps its shards. 10 s; at least 100 ms.
    ///
    /// Members may differ: each writes its own into the rows that it owns, and others wait as long as
    /// the owner's row says. `Admin::list_groups` and `delete_group` watch for signs of life, since no
    /// clock is shared: they take a third of it, or all of it while the row of a member is left that
    /// died and that no other one has cleared away.
    pub lease_time: Duration,
    /// A store of your own in the place of [`leases`](Self::leases), such as
    /// [`ObjectLeases`](crate::leases) on S3, for members on many machines.
    #[serde(skip)]
    pub store: Option<Arc<dyn LeaseStore>>,
}

/// Which events travel together in one record, in the KPL's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Aggregation {
    /// Those of one key: no reshard can part them.
    Key,
    /// Those of all keys of a shard: the fewest records. What a reshard parts is sent again.
    Shard,
    /// None: an event a record, readable by any consumer.
    Off,
}

const OPTIONS: [&str; 9] = [
    "endpoint",
    "aggregate",
    "max_batch_bytes",
    "max_record_bytes",
    "envelope",
    "read_share",
    "fanout",
    "leases",
    "lease_time",
];

impl Default for KinesisConfig {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            aggregate: Aggregation::Key,
            max_batch_bytes: LARGEST_BATCH,
            max_record_bytes: 1 << 20,
            envelope: false,
            read_share: Some(1.0),
            fanout: None,
            leases: None,
            lease_time: Duration::from_secs(10),
            store: None,
        }
    }
}

/// PutRecords takes 10 MiB, and a stream records of up to 10 MiB (Amazon Kinesis Data Streams
/// developer guide, "Quotas and limits", 2026-11).
const LARGEST_BATCH: usize = 10 << 20;

impl KinesisConfig {
    /// The region of the SDK's usual chain, and the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`region`](Self::region).
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets [`endpoint`](Self::endpoint).
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets [`aggregate`](Self::aggregate).
    pub fn aggregate(mut self, which: Aggregation) -> Self {
        self.aggregate = which;
        self
    }

    /// Sets [`max_batch_bytes`](Self::max_batch_bytes).
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }

    /// Sets [`max_record_bytes`](Self::max_record_bytes).
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    /// Sets [`envelope`](Self::envelope).
    pub fn envelope(mut self, on: bool) -> Self {
        self.envelope = on;
        self
    }

    /// Sets [`read_share`](Self::read_share).
    pub fn read_share(mut self, share: Option<f64>) -> Self {
        self.read_share = share;
        self
    }

    /// Sets [`fanout`](Self::fanout).
    pub fn fanout(mut self, consumer: impl Into<String>) -> Self {
        self.fanout = Some(consumer.into());
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

    /// What a URL says. Config for an option that is none, or a value that can't be.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        if url.options().any(|(name, _)| name == "region") {
            return Err(config("kinesis has no option 'region'")
                .with_advice("the region stands before the stream: kinesis://us-east-1/STREAM"));
        }
        url.refuse_unknown_options(&OPTIONS)?;
        let mut this = Self::new();
        if !url.authority().is_empty() {
            this.region = Some(url.authority().to_owned());
        }
        for (name, value) in url.options() {
            match name {
                "endpoint" => this.endpoint = Some(value.to_owned()),
                "aggregate" => {
                    let all = [
                        ("key", Aggregation::Key),
                        ("shard", Aggregation::Shard),
                        ("off", Aggregation::Off),
                    ];
                    this.aggregate = one_of(HUB, "connect", name, value, &all)?;
                }
                "max_batch_bytes" => this.max_batch_bytes = bytes(name, value)?,
                "max_record_bytes" => this.max_record_bytes = bytes(name, value)?,
                "envelope" => {
                    let all = [("on", true), ("off", false)];
                    this.envelope = one_of(HUB, "connect", name, value, &all)?;
                }
                "read_share" if value == "off" => this.read_share = None,
                "read_share" => this.read_share = Some(share(name, value)?),
                "fanout" => this.fanout = Some(value.to_owned()),
                "leases" => this.leases = Some(LeasesIn::from_option(HUB, value)?),
                "lease_time" => this.lease_time = lease_time(HUB, value)?,
                _ => {}
            }
        }
        this.check()?;
        Ok(this)
    }

    /// Config for a value that can't be.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(region) = &self.region
            && !is_region(region)
        {
            return Err(config(format!("'{}' is no region", shown(region)))
                .with_advice("a region is as us-east-1; an address goes into endpoint="));
        }
        if let Some(endpoint) = &self.endpoint
            && host(endpoint).is_none()
        {
            return Err(config(format!("'{}' is no endpoint", shown(endpoint))).with_advice(
                "it looks like endpoint=http://127.0.0.1:4566 or endpoint=https://HOST; credentials come from \
                 the environment or a profile",
            ));
        }
        let within = |name: &str, bytes: usize, least: usize| {
            if (least..=LARGEST_BATCH).contains(&bytes) {
                return Ok(());
            }
            Err(config(format!("{name} can't be {bytes}"))
                .with_advice(format!("it is from {least} to {LARGEST_BATCH} bytes")))
        };
        within("max_record_bytes", self.max_record_bytes, 1024)?;
        within(
            "max_batch_bytes",
            self.max_batch_bytes,
            self.max_record_bytes,
        )?;
        if let Some(share) = self.read_share
            && !(share > 0.0 && share <= 1.0)
        {
            return Err(config(format!("read_share can't be {share}"))
                .with_advice("above 0 and at most 1, or off"));
        }
        if let Some(name) = self.fanout.as_deref().filter(|name| !is_name(name)) {
            let message = format!(
                "fanout can't be '{}', which is no consumer's name",
                shown(name)
            );
            return Err(config(message).with_advice(format!("{NAMES}, as fanout=app")));
        }
        check_lease_time(HUB, self.lease_time)
    }

    /// Whether the endpoint is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.endpoint.as_deref().and_then(host);
        host.is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
    }
}

impl fmt::Debug for KinesisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisConfig")
            .field("region", &self.region.as_deref().map(shown))
            .field("endpoint", &self.endpoint.as_deref().map(shown))
            .field("aggregate", &self.aggregate)
            .field("max_batch_bytes", &self.max_batch_bytes)
            .field("max_record_bytes", &self.max_record_bytes)
            .field("envelope", &self.envelope)
            .field("read_share", &self.read_share)
            .field("fanout", &self.fanout.as_deref().map(shown))
            .field("leases", &self.leases)
            .field("lease_time", &self.lease_time)
            .field("store", &self.store)
            .finish()
    }
}

fn is_region(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 32 && text.contains('-') && text.bytes().all(fits)
}

/// The host of an http or https URL that has neither a user nor a query.
fn host(endpoint: &str) -> Option<&str> {
    let rest = endpoint
        .strip_prefix("http://")
        .or_else(|| endpoint.strip_prefix("https://"))?;
    if rest.contains(['@', '?', '#']) {
        return None;
    }
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    (!host.is_empty() && port_fits).then_some(host)
}

fn bytes(name: &str, value: &str) -> Result<usize> {
    let refused = |_| {
        config(format!("{name} can't be '{}'", shown(value))).with_advice(format!(
            "it is a number of bytes, without a unit, as {name}=1048576 for 1 MiB"
        ))
    };
    value.parse().map_err(refused)
}

fn share(name: &str, value: &str) -> Result<f64> {
    let refused = |_| {
        config(format!("{name} can't be '{}'", shown(value)))
            .with_advice(format!("above 0 and at most 1, as {name}=0.5, or off"))
    };
    value.parse().map_err(refused)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_conformance::assert_no_secret_is_printed;

    fn parse(url: &str) -> Result<KinesisConfig> {
        KinesisConfig::from_url(&url.parse()?)
    }

    #[test]
    fn a_url_says_it_all() {
        let config = parse(
            "kinesis://eu-west-1/tweets?endpoint=http://127.0.0.1:4566&aggregate=shard\
             &max_batch_bytes=5242880&envelope=on&read_share=0.25&fanout=app\
             &leases=sqlite:/var/lib/l.db&lease_time=500ms",
        )
        .unwrap();
        assert_eq!(config.region.as_deref(), Some("eu-west-1"));
        assert_eq!(config.aggregate, Aggregation::Shard);
        assert_eq!(config.max_batch_bytes, 5 << 20);
        assert!(config.envelope && config.is_local());
        assert_eq!(config.read_share, Some(0.25));
        assert_eq!(config.fanout.as_deref(), Some("app"));
        assert_eq!(
            config.leases,
            Some(LeasesIn::Sqlite("/var/lib/l.db".into()))
        );
        assert_eq!(config.lease_time, Duration::from_millis(500));
        let config = parse("kinesis:/tweets?read_share=off").unwrap();
        assert_eq!((config.region, config.read_share), (None, None));
    }

    #[test]
    fn only_this_machine_is_local() {
        let local = |endpoint: &str| KinesisConfig::new().endpoint(endpoint).is_local();
        assert!(
            local("http://localhost:1") && local("http://127.0.0.2") && local("http://[::1]:5")
        );
        assert!(!local("https://localhost.example.com") && !local("https://10.0.0.1"));
        assert!(!KinesisConfig::new().is_local());
    }

    #[test]
    fn what_may_be_secret_is_printed_nowhere() {
        assert_no_secret_is_printed("kinesis", "us-east-1", &OPTIONS, |url| {
            let config = KinesisConfig::from_url(url)?;
            Ok((config.clone(), crate::KinesisHub::new(config)))
        });
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("kinesis://127.0.0.1:4566/t", "goes into endpoint="),
            (
                "kinesis://us-east-1/t?agregate=key",
                "did you mean 'aggregate'?",
            ),
            (
                "kinesis://us-east-1/t?aggregate=shards",
                "did you mean aggregate=shard?",
            ),
            ("kinesis://us-east-1/t?endpoint=127.0.0.1", "is no endpoint"),
            (
                "kinesis://us-east-1/t?endpoint=http://h:99999",
                "is no endpoint",
            ),
            ("kinesis://us-east-1/t?read_share=2", "at most 1, or off"),
            ("kinesis://us-east-1/t?read_share=NaN", "at most 1, or off"),
            (
                "kinesis://us-east-1/t?max_batch_bytes=5MiB",
                "max_batch_bytes=1048576 for 1 MiB",
            ),
            ("kinesis:/t?region=us-east-1", "kinesis://us-east-1/STREAM"),
            (
                "kinesis://us-east-1/t?read_share=half",
                "as read_share=0.5, or off",
            ),
            (
                "kinesis://us-east-1/t?envelope=1",
                "envelope=on or envelope=off",
            ),
            (
                "kinesis://us-east-1/t?leases=sqlite:~/l.db",
                "write the whole path",
            ),
            (
                "kinesis://us-east-1/t?leases=memory&leases=memory",
                "'leases' is given twice",
            ),
            (
                "kinesis://us-east-1/t?lease_time=0s",
                "lease_time can't be 0 ms",
            ),
            ("kinesis://us-east-1/t?fanout=my%20app", "as fanout=app"),
            (
                "kinesis://us-east-1/t?max_batch_bytes=20000000",
                "to 10485760",
            ),
            (
                "kinesis://us-east-1/t?max_record_bytes=2000000&max_batch_bytes=1500000",
                "from 2000000",
            ),
            ("kinesis://us-east-1/t?leases=sqlite:", "leases=sqlite:FILE"),
            ("kinesis://us-east-1/t?leases=dynamo", "leases=memory"),
            (
                "kinesis://us-east-1/t?lease_time=10",
                "as lease_time=500ms, 10s or 2m",
            ),
            ("kinesis://us-east-1/t?lease_time=1ms", "100ms or more"),
            ("kinesis://us-east-1/t?fanout=", "no consumer's name"),
        ];
        for (url, expected) in cases {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), anyhub_core::ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(expected), "{url}: {error}");
        }
    }
}
