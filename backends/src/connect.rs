use anyhub_core::{Error, ErrorKind, Hub, HubUrl, Result, memory::MemoryHub, nearest, shown};
use std::sync::Arc;

/// A hub by its URL, without I/O: an unknown scheme or option is Config and names the nearest one;
/// a hub whose feature is off says which feature to add.
///
/// Every `memory:` URL makes a hub of its own.
pub fn connect(url: &str) -> Result<Arc<dyn Hub>> {
    let url: HubUrl = url.parse()?;
    match url.scheme() {
        "memory" => Ok(Arc::new(MemoryHub::from_url(&url)?)),
        #[cfg(feature = "eventhubs")]
        "eventhubs" => Ok(Arc::new(anyhub_eventhubs::EventHubsHub::from_url(&url)?)),
        #[cfg(feature = "kafka")]
        "kafka" => Ok(Arc::new(anyhub_kafka::KafkaHub::from_url(&url)?)),
        #[cfg(feature = "kinesis")]
        "kinesis" => Ok(Arc::new(anyhub_kinesis::KinesisHub::from_url(&url)?)),
        #[cfg(feature = "pubsub")]
        "pubsub" => Ok(Arc::new(anyhub_pubsub::PubSubHub::from_url(&url)?)),
        scheme => Err(no_such_hub(scheme)),
    }
}

/// The topic that a hub's URL names: its path. Config if it names none.
pub fn topic(url: &str) -> Result<String> {
    url.parse::<HubUrl>()?.topic().map(str::to_owned)
}

/// The schemes that [`connect`] takes in this build.
pub fn schemes() -> impl Iterator<Item = &'static str> {
    HUBS.iter()
        .filter(|(_, built)| *built)
        .map(|(scheme, _)| *scheme)
}

/// Every hub, and whether its feature is on.
const HUBS: &[(&str, bool)] = &[
    ("memory", true),
    ("eventhubs", cfg!(feature = "eventhubs")),
    ("kafka", cfg!(feature = "kafka")),
    ("kinesis", cfg!(feature = "kinesis")),
    ("pubsub", cfg!(feature = "pubsub")),
];

fn no_such_hub(scheme: &str) -> Error {
    let error = |message: String| Error::new(ErrorKind::Config, "anyhub", "connect", message);
    if HUBS.iter().any(|(name, _)| *name == scheme) {
        return error(format!("this program was built without '{scheme}'"))
            .with_advice(format!("add the feature '{scheme}' of the crate anyhub"));
    }
    let advice = match nearest(scheme, HUBS.iter().map(|(name, _)| *name)) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => {
            let all: Vec<_> = HUBS.iter().map(|(name, _)| *name).collect();
            format!("there are {}", all.join(", "))
        }
    };
    error(format!("there is no hub '{}'", shown(scheme))).with_advice(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_hub() {
        let error = connect("memry:/t").map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err(
                "anyhub: connect: there is no hub 'memry' (Config); did you mean 'memory'?"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_hub_is_there_or_says_which_feature_is_off() {
        for (url, built) in [
            ("eventhubs://a/t", cfg!(feature = "eventhubs")),
            ("kafka://a/t", cfg!(feature = "kafka")),
            ("kinesis://us-east-1/t", cfg!(feature = "kinesis")),
            ("pubsub://project/t", cfg!(feature = "pubsub")),
        ] {
            let scheme = url.split(':').next().unwrap_or_default();
            let advice = format!("add the feature '{scheme}'");
            let hub = connect(url).map(|hub| hub.name());
            match hub {
                Ok(name) => assert_eq!((name, built), (scheme, true)),
                Err(error) => assert!(!built && error.to_string().contains(&advice), "{error}"),
            }
            assert_eq!(schemes().any(|known| known == scheme), built);
        }
    }
}
