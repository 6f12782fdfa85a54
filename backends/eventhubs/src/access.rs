//! Who asks: shared access signatures, made here, and tokens of Microsoft Entra ID.

use crate::{
    config::{EventHubsConfig, Identity},
    connection_string::{ConnectionString, Signer},
    error::{HUB, config, no_token},
};
use anyhub_core::{Error, ErrorKind, Result, read_settings_file, shown};
use azure_core::{
    credentials::{Secret, TokenCredential},
    time::{Duration, OffsetDateTime},
};
use azure_identity::{
    AzureCliCredential, ClientSecretCredential, DeveloperToolsCredential,
    ManagedIdentityCredential, WorkloadIdentityCredential,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use std::{env, fmt, path::Path, sync::Arc};
use tokio::sync::Mutex;

/// The namespace's host, and who asks there.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) host: String,
    /// Another address to dial: the settings', or the connection string's.
    pub(crate) endpoint: Option<String>,
    /// The event hub that it is for, where it is for one alone.
    pub(crate) hub: Option<String>,
    signs: Signs,
    /// The last token of an identity; held while it is asked for another one.
    kept: Arc<Mutex<Kept>>,
}

#[derive(Clone)]
enum Signs {
    Shared(Signer),
    Entra(Arc<dyn TokenCredential>),
}

/// Who asks, as the SDK's own clients are told.
pub(crate) enum OfClient<'a> {
    /// A connection string for the event hub.
    Shared(anyhub_core::Secret),
    /// The namespace's host, and an identity.
    Entra(&'a str, Arc<dyn TokenCredential>),
}

/// What is put on `$cbs`.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: Secret,
    pub(crate) kind: &'static str,
    pub(crate) expires: OffsetDateTime,
}

/// A token is renewed so long before it expires, as Microsoft's clients do it, or at three quarters of
/// its time.
const BEFORE: std::time::Duration = std::time::Duration::from_secs(360);
/// The variable that holds a connection string.
const VARIABLE: &str = "EVENTHUBS_CONNECTION_STRING";
/// The option that names a file with one.
const FILE: &str = "connection_string_file";
/// More than a connection string takes, with a signature in it.
const LARGEST: u64 = 16 << 10;
/// What Microsoft's emulator takes ("Event Hubs emulator overview", 2026-11).
const EMULATOR: (&str, &str) = ("RootManageSharedAccessKey", "SAS_KEY_VALUE");
/// For how long a signature is made. Azure's own libraries take an hour.
const VALID: Duration = Duration::hours(1);
/// What a token of Entra ID is asked for (Event Hubs documentation, "Authenticate an application
/// with Microsoft Entra ID", 2026-11).
const SCOPE: &str = "https://eventhubs.azure.net/.default";
/// What signatures leave as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

impl Access {
    /// As [`EventHubsConfig`] says, in its order. Config for a connection string or identity that is
    /// of no use, or none for a namespace that is not named.
    pub(crate) fn find(settings: &EventHubsConfig) -> Result<Self> {
        Self::find_by(settings, env::var(VARIABLE).ok())
    }

    fn find_by(settings: &EventHubsConfig, variable: Option<String>) -> Result<Self> {
        let parsed = match (
            &settings.connection_string,
            &settings.connection_string_file,
        ) {
            (Some(text), _) => Some(ConnectionString::parse(text.expose())),
            _ if settings.token_credential.is_some() || settings.credential.is_some() => None,
            (None, Some(file)) => {
                Some(ConnectionString::parse(&read(file)?).map_err(|error| found_in(FILE, &error)))
            }
            (None, None) => variable.map(|text| {
                ConnectionString::parse(&text).map_err(|error| found_in(VARIABLE, &error))
            }),
        };
        if let Some(parsed) = parsed {
            return Self::of(settings, parsed?);
        }
        let host = settings.namespace.clone().ok_or_else(|| {
            config("no namespace is named").with_advice(
                "name it in the URL, as in eventhubs://NAME.servicebus.windows.net/HUB, or give a \
                 connection string",
            )
        })?;
        let signs = match (&settings.token_credential, settings.credential) {
            (None, None) if settings.is_local() => {
                let (name, key) = EMULATOR;
                Signs::Shared(Signer::Key {
                    name: name.to_owned(),
                    key: anyhub_core::Secret::new(key),
                })
            }
            _ => Signs::Entra(identity(settings)?),
        };
        let hub = None;
        let endpoint = settings.endpoint.clone();
        Ok(Self {
            host,
            endpoint,
            hub,
            signs,
            kept: Arc::default(),
        })
    }

    fn of(settings: &EventHubsConfig, parsed: ConnectionString) -> Result<Self> {
        if let Some(named) = &settings.namespace
            && !named.eq_ignore_ascii_case(&parsed.host)
        {
            let (host, message) = (&parsed.host, "the connection string is for");
            return Err(
                config(format!("{message} {host}, and the URL names {named}"))
                    .with_advice("leave the namespace out of the URL, as in eventhubs:/HUB"),
            );
        }
        let endpoint = match (&settings.endpoint, parsed.endpoint) {
            (None, Some(endpoint)) => {
                // The emulator's is in the clear: on this machine alone.
                EventHubsConfig::new().endpoint(&endpoint).check()?;
                Some(endpoint)
            }
            (named, _) => named.clone(),
        };
        Ok(Self {
            host: parsed.host,
            endpoint,
            hub: parsed.hub,
            signs: Signs::Shared(parsed.signer),
            kept: Arc::default(),
        })
    }

    /// Config if it is for another event hub alone.
    pub(crate) fn check(&self, hub: &str) -> Result<()> {
        match &self.hub {
            Some(only) if !only.eq_ignore_ascii_case(hub) => {
                let message = format!(
                    "the connection string is for '{}', not for '{}'",
                    shown(only),
                    shown(hub)
                );
                Err(config(message).with_advice("take one of the namespace, without EntityPath"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn of_client(&self, hub: &str) -> OfClient<'_> {
        let signs = match &self.signs {
            Signs::Entra(credential) => return OfClient::Entra(&self.host, credential.clone()),
            Signs::Shared(Signer::Key { name, key }) => {
                format!(
                    "SharedAccessKeyName={name};SharedAccessKey={}",
                    key.expose()
                )
            }
            Signs::Shared(Signer::Signature(text)) => {
                format!("SharedAccessSignature={}", text.expose())
            }
        };
        let text = format!("Endpoint=sb://{}/;{signs};EntityPath={hub}", self.host);
        OfClient::Shared(anyhub_core::Secret::new(text))
    }

    /// Whether tokens can be had again and again; a signature that was made before is one.
    pub(crate) fn renews(&self) -> bool {
        !matches!(self.signs, Signs::Shared(Signer::Signature(_)))
    }

    /// A token for an event hub and what is within: of an identity, the last one until it is to be renewed,
    /// as not every identity keeps its own. Fails as [`fresh_token`](Self::fresh_token).
    pub(crate) async fn token(&self, operation: &'static str, resource: &str) -> Result<Token> {
        let Signs::Entra(credential) = &self.signs else {
            return self.fresh_token(operation, resource).await;
        };
        let mut kept = self.kept.lock().await;
        let now = OffsetDateTime::now_utc();
        match &*kept {
            Some((token, until)) if now < *until => Ok(token.clone()),
            _ => ask(credential, operation, &mut kept).await,
        }
    }

    /// The service has refused a token: the next one is another one.
    pub(crate) async fn forget_token(&self) {
        *self.kept.lock().await = None;
    }

    /// A token that is newly made or asked for. Denied if there is none to be had, Unavailable if nobody
    /// could be asked.
    pub(crate) async fn fresh_token(
        &self,
        operation: &'static str,
        resource: &str,
    ) -> Result<Token> {
        let now = OffsetDateTime::now_utc();
        match &self.signs {
            Signs::Shared(Signer::Key { name, key }) => {
                let expires = now + VALID;
                Ok(Token {
                    text: Secret::new(sign(resource, name, key.expose(), expires.unix_timestamp())),
                    kind: SIGNATURE,
                    expires,
                })
            }
            Signs::Shared(Signer::Signature(text)) => {
                let expires = expiry(text.expose())?;
                if expires <= now {
                    let message = format!("the shared access signature has expired at {expires}");
                    return Err(Error::new(ErrorKind::Denied, HUB, operation, message)
                        .with_advice("make a new one, or give the key"));
                }
                Ok(Token {
                    text: Secret::new(text.expose().to_owned()),
                    kind: SIGNATURE,
                    expires,
                })
            }
            Signs::Entra(credential) => {
                ask(credential, operation, &mut *self.kept.lock().await).await
            }
        }
    }
}

/// In how long a token that expires then is renewed.
pub(crate) fn renewed_in(expires: OffsetDateTime) -> std::time::Duration {
    let left = expires - OffsetDateTime::now_utc();
    let left = std::time::Duration::try_from(left).unwrap_or_default();
    left.saturating_sub(BEFORE).max(left * 3 / 4)
}

/// A token, and until when it is given out.
type Kept = Option<(Token, OffsetDateTime)>;

async fn ask(
    credential: &Arc<dyn TokenCredential>,
    operation: &'static str,
    kept: &mut Kept,
) -> Result<Token> {
    let token = credential.get_token(&[SCOPE], None).await;
    let token = token.map_err(|error| no_token(operation, error))?;
    let token = Token {
        text: token.token,
        kind: "jwt",
        expires: token.expires_on,
    };
    let until = OffsetDateTime::now_utc() + renewed_in(token.expires);
    *kept = Some((token.clone(), until));
    Ok(token)
}

const SIGNATURE: &str = "servicebus.windows.net:sastoken";

/// What is wrong with a connection string, and where that stands.
fn found_in(place: &str, error: &Error) -> Error {
    let advice = error.advice().unwrap_or_default();
    config(format!("{place}: {}", error.message())).with_advice(advice)
}

fn read(file: &Path) -> Result<String> {
    read_settings_file(file, LARGEST).map_err(|error| {
        let path = file.to_string_lossy();
        config(format!("{FILE} can't be read: '{}': {error}", shown(&path)))
            .with_advice("it is a file with the connection string and nothing else")
            .with_source(error)
    })
}

/// The identity of Microsoft Entra ID that asks, or would. Config for one that is of no use.
pub(crate) fn identity(settings: &EventHubsConfig) -> Result<Arc<dyn TokenCredential>> {
    if let Some(own) = &settings.token_credential {
        return Ok(own.clone());
    }
    let identity = settings.credential.unwrap_or(Identity::DeveloperTools);
    let credential = match identity {
        Identity::ManagedIdentity => {
            ManagedIdentityCredential::new(None).map(|found| found as Arc<dyn TokenCredential>)
        }
        Identity::WorkloadIdentity => WorkloadIdentityCredential::new(None).map(|found| found as _),
        Identity::AzureCli => AzureCliCredential::new(None).map(|found| found as _),
        Identity::DeveloperTools => DeveloperToolsCredential::new(None).map(|found| found as _),
        Identity::ClientSecret => {
            let tenant = variable("AZURE_TENANT_ID")?;
            let client = variable("AZURE_CLIENT_ID")?;
            let secret = Secret::new(variable("AZURE_CLIENT_SECRET")?);
            ClientSecretCredential::new(&tenant, client, secret, None).map(|found| found as _)
        }
    };
    credential.map_err(|error| {
        let message = format!("the credential {identity:?} can't be had: {error}");
        config(message).with_source(error)
    })
}

fn variable(name: &str) -> Result<String> {
    let set = env::var(name).ok().filter(|value| !value.is_empty());
    set.ok_or_else(|| {
        config(format!("credential=client_secret needs {name}")).with_advice(
            "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the environment",
        )
    })
}

/// A shared access signature (Event Hubs documentation, "Authenticate access with shared access
/// signatures", 2026-11): the resource in lower case, signed with the key as it is written.
fn sign(resource: &str, name: &str, key: &str, expires: i64) -> String {
    let encode = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let resource = encode(resource).to_lowercase();
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{resource}\n{expires}").as_bytes());
    let signature = encode(&STANDARD.encode(mac.finalize().into_bytes()));
    let name = encode(name);
    format!("SharedAccessSignature sr={resource}&sig={signature}&se={expires}&skn={name}")
}

/// When a signature that was made before expires.
fn expiry(signature: &str) -> Result<OffsetDateTime> {
    let mut fields = signature.split(['&', ' ']);
    let seconds = fields.find_map(|field| field.strip_prefix("se="));
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.ok_or_else(|| {
        config("the shared access signature tells no expiry (se=SECONDS)")
            .with_advice("take it whole: SharedAccessSignature sr=...&sig=...&se=...&skn=...")
    })
}

impl fmt::Debug for Signs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(signer) => signer.fmt(f),
            Self::Entra(_) => f.write_str("Entra"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Made by Python 3's hmac, base64 and urllib.parse.
    #[test]
    fn signs_as_documented() {
        let signed = sign(
            "amqps://N.servicebus.windows.net/Tweets",
            "root",
            "secret",
            1_800_000_000,
        );
        assert_eq!(
            signed,
            concat!(
                "SharedAccessSignature sr=amqps%3a%2f%2fn.servicebus.windows.net%2ftweets",
                "&sig=wjMLtp%2Fix9scURpTijZSvQ9wKWfYhWOmNKmLVemnab4%3D&se=1800000000&skn=root"
            )
        );
    }

    #[test]
    fn the_url_and_the_connection_string_have_to_agree() {
        let text =
            "Endpoint=sb://n.example.com/;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=t";
        let settings = EventHubsConfig::new().connection_string(text);
        let access = Access::find(&settings).unwrap();
        assert_eq!(access.host, "n.example.com");
        assert!(access.check("T").is_ok());
        let refused = access.check("other").unwrap_err();
        assert!(
            refused.to_string().contains("without EntityPath"),
            "{refused}"
        );
        let error = Access::find(&settings.namespace("m.example.com")).unwrap_err();
        assert!(error.to_string().contains("n.example.com"), "{error}");
    }

    #[test]
    fn the_settings_endpoint_stands_above_the_connection_strings() {
        let find = |host: &str, endpoint: Option<&str>| {
            let keys = "SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true";
            let mut settings =
                EventHubsConfig::new().connection_string(format!("Endpoint=sb://{host};{keys}"));
            settings.endpoint = endpoint.map(str::to_owned);
            Access::find(&settings).map(|access| access.endpoint.unwrap())
        };
        assert_eq!(find("localhost:7", None).unwrap(), "amqp://localhost:7");
        let named = "amqps://n.example.com:5";
        for host in ["localhost:7", "n.example.com"] {
            assert_eq!(find(host, Some(named)).unwrap(), named);
        }
        let refused = find("n.example.com", None).unwrap_err();
        assert!(refused.to_string().contains("in the clear"), "{refused}");
    }

    #[test]
    fn an_identity_stands_above_the_environment_and_needs_its_namespace() {
        let settings = EventHubsConfig::new().credential(Identity::AzureCli);
        let error = Access::find(&settings).unwrap_err();
        assert!(error.to_string().contains("no namespace"), "{error}");
        let access = Access::find(&settings.namespace("n.example.com")).unwrap();
        assert!(matches!(access.signs, Signs::Entra(_)));
        let local = EventHubsConfig::new()
            .namespace("localhost")
            .endpoint("amqp://localhost:1");
        let access = Access::find(&local).unwrap();
        assert!(matches!(access.signs, Signs::Shared(_)));
    }

    #[tokio::test]
    async fn an_old_signature_is_denied() {
        let signed = |until: i64| {
            let text = format!(
                "Endpoint=sb://h;SharedAccessSignature=SharedAccessSignature sr=x&se={until}"
            );
            Access::find(&EventHubsConfig::new().connection_string(text)).unwrap()
        };
        let refused = signed(1_000)
            .token("producer", "amqps://h/t")
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied);
        let in_2100 = signed(4_102_444_800)
            .token("producer", "amqps://h/t")
            .await
            .unwrap();
        assert_eq!(in_2100.expires.unix_timestamp(), 4_102_444_800);
    }

    #[test]
    fn the_sdks_clients_are_told_the_same() {
        use azure_messaging_eventhubs::ConnectionString as Theirs;
        let host = "Endpoint=sb://h.example.com/;";
        for signs in [
            "SharedAccessKeyName=a;SharedAccessKey=b=",
            "SharedAccessSignature=SharedAccessSignature sr=x&sig=y%3D&se=4102444800&skn=z",
        ] {
            let settings = EventHubsConfig::new().connection_string(format!("{host}{signs}"));
            let access = Access::find(&settings).unwrap();
            let OfClient::Shared(text) = access.of_client("t") else {
                panic!("no identity was named");
            };
            let theirs: Theirs = text.expose().parse().unwrap();
            let whole = format!("{host}{signs};EntityPath=t")
                .parse::<Theirs>()
                .unwrap();
            assert!(theirs == whole);
        }
    }

    #[test]
    fn where_a_string_of_no_use_stands_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("connection-string");
        let settings = EventHubsConfig::new().connection_string_file(&file);
        let refused = |settings: &EventHubsConfig, variable: &str, says: [&str; 2]| {
            let found = Access::find_by(settings, Some(variable.to_owned()));
            let error = found.unwrap_err().to_string();
            assert!(says.iter().all(|says| error.contains(says)), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        let whole = "Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=hunter2";
        let quoted = format!("\"{whole}\"");
        let name = "connection_string_file";
        for (text, says) in [
            (String::new(), "is empty"),
            (quoted.clone(), "in quotes"),
            (" ".repeat(100_000), "larger than"),
        ] {
            std::fs::write(&file, text).unwrap();
            refused(&settings, "", [name, says]);
        }
        std::fs::write(&file, format!("\u{feff}{whole}\r\n")).unwrap();
        assert_eq!(Access::find_by(&settings, None).unwrap().host, "h");
        refused(&EventHubsConfig::new(), "", [VARIABLE, "is empty"]);
        refused(&EventHubsConfig::new(), &quoted, [VARIABLE, "in quotes"]);
        // The string itself in the place of a file's name, and what is no file.
        for (path, says) in [
            (whole, "can't be read"),
            ("/dev/zero", "no regular file"),
            ("/", "no regular file"),
        ] {
            let settings = EventHubsConfig::new().connection_string_file(path);
            refused(&settings, "", [name, says]);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let settings = EventHubsConfig::new().connection_string_file("/nowhere/to/be/found");
        let error = Access::find(&settings).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/to/be/found"),
            "{error}"
        );
    }
}
