use crate::error::config;
use anyhub_core::{Result, shown};
use serde::Deserialize;
use std::{fmt, path::PathBuf, time::Duration};

/// Where consumer groups are kept.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LeasesIn {
    /// In the hub: its consumers share them, and they go with it.
    Memory,
    /// In a file, for the processes of one machine.
    Sqlite(PathBuf),
}

impl LeasesIn {
    /// What the option `leases` of a hub's URL says: `memory` or `sqlite:FILE`. Config for anything else.
    pub fn from_option(hub: &'static str, value: &str) -> Result<Self> {
        let error = |message: String| config(hub, message);
        match value.split_once(':') {
            None if value == "memory" => Ok(Self::Memory),
            Some(("sqlite", file)) if file == "~" || file.starts_with("~/") => Err(error(format!(
                "leases can't be '{}': ~ means nothing here",
                shown(value)
            ))
            .with_advice("write the whole path, as sqlite:/home/me/leases.db")),
            Some(("sqlite", file)) if !file.is_empty() && cfg!(feature = "sqlite") => {
                Ok(Self::Sqlite(file.into()))
            }
            Some(("sqlite", file)) if !file.is_empty() => Err(error(
                "leases in SQLite were left out of this program".to_owned(),
            )
            .with_advice(format!(
                "add the feature 'sqlite' of the crate anyhub-{hub}"
            ))),
            _ => Err(
                error(format!("leases can't be '{}'", shown(value))).with_advice(
                    "leases=memory, or leases=sqlite:FILE for the processes of one machine",
                ),
            ),
        }
    }
}

impl fmt::Debug for LeasesIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Sqlite(file) => write!(f, "Sqlite({:?})", shown(&file.to_string_lossy())),
        }
    }
}

/// What the option `lease_time` of a hub's URL says, as `500ms`, `10s` or `2m`. Config for anything else.
pub fn lease_time(hub: &'static str, value: &str) -> Result<Duration> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &value[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    match digits.parse::<u64>() {
        Ok(count) if unit > 0 => Ok(Duration::from_millis(count.saturating_mul(unit))),
        _ => Err(
            config(hub, format!("lease_time can't be '{}'", shown(value)))
                .with_advice("a time is as lease_time=500ms, 10s or 2m"),
        ),
    }
}

/// As short as leases can be kept.
const SHORTEST: Duration = Duration::from_millis(100);

/// Config for a lease that is too short to be kept.
pub fn check_lease_time(hub: &'static str, time: Duration) -> Result<()> {
    if time < SHORTEST {
        let millis = time.as_millis();
        return Err(config(hub, format!("lease_time can't be {millis} ms"))
            .with_advice("100ms or more, as lease_time=10s: renewals take time, too"));
    }
    Ok(())
}
