//! Who asks: shared access signatures, made here, and tokens of Microsoft Entra ID.

use crate::{
    config::{EventHubsConfig, Identity},
    connection_string::{ConnectionString, Signer},
    error::{HERE, HUB, config, no_token},
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
    /// It was given out before, and may be good no more.
    pub(crate) is_kept: bool,
}

/// A token is renewed so long before it expires, as Microsoft's clients do it, or at three quarters of
/// its time.
const BEFORE: std::time::Duration = std::time::Duration::from_secs(360);
/// The variable that holds a connection string.
pub(crate) const VARIABLE: &str = "EVENTHUBS_CONNECTION_STRING";
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
        let found = match (
            &settings.connection_string,
            &settings.connection_string_file,
        ) {
            (Some(text), _) => Some((None, ConnectionString::parse(text.expose())?)),
            _ if settings.token_credential.is_some() || settings.credential.is_some() => None,
            (None, Some(file)) => Some((Some(FILE), parse(FILE, &read(file)?)?)),
            (None, None) => match variable {
                Some(text) => of_variable(settings, &text)?.map(|found| (Some(VARIABLE), found)),
                None => None,
            },
        };
        if let Some((place, parsed)) = found {
            return Self::of(settings, place, parsed);
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

    fn of(
        settings: &EventHubsConfig,
        place: Option<&'static str>,
        parsed: ConnectionString,
    ) -> Result<Self> {
        if let Some(named) = &settings.namespace
            && !named.eq_ignore_ascii_case(&parsed.host)
        {
            return Err(other_namespace(place, &parsed.host, named));
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
            Some((token, until)) if now < *until => Ok(Token {
                is_kept: true,
                ..token.clone()
            }),
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
                    is_kept: false,
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
                    is_kept: false,
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
        is_kept: false,
    };
    let until = OffsetDateTime::now_utc() + renewed_in(token.expires);
    *kept = Some((token.clone(), until));
    Ok(token)
}

const SIGNATURE: &str = "servicebus.windows.net:sastoken";

/// The variable's connection string, where it is for what the settings name: whoever has set it had a
/// namespace in mind, and perhaps no server on this machine.
fn of_variable(settings: &EventHubsConfig, text: &str) -> Result<Option<ConnectionString>> {
    let named = settings.namespace.as_deref();
    if text.trim().is_empty() && named.is_some() {
        tracing::debug!(hub = HUB, "{VARIABLE} is empty, and not used");
        return Ok(None);
    }
    let parsed = parse(VARIABLE, text)?;
    let is_other = named.is_some_and(|named| !named.eq_ignore_ascii_case(&parsed.host));
    if is_other && settings.is_local() {
        let host = &parsed.host;
        tracing::debug!(hub = HUB, %host, "{VARIABLE} is for another namespace, and not used");
        return Ok(None);
    }
    Ok(Some(parsed))
}

/// A connection string, with the place where it stands in what is wrong with it.
fn parse(place: &str, text: &str) -> Result<ConnectionString> {
    ConnectionString::parse(text).map_err(|error| {
        let advice = error.advice().unwrap_or_default();
        config(format!("{place}: {}", error.message())).with_advice(advice)
    })
}

/// A connection string that would lead elsewhere than the settings say.
fn other_namespace(place: Option<&str>, host: &str, named: &str) -> Error {
    let what = place.unwrap_or("the connection string");
    let advice = match place {
        Some(VARIABLE) if named.eq_ignore_ascii_case("localhost") => {
            format!("unset it; {HERE}")
        }
        Some(VARIABLE) => format!(
            "unset it, or set it to one for {named}; connection_string_file= and credential= stand above it"
        ),
        _ => format!("give one for {named}"),
    };
    config(format!("{what} is for {host}, and the URL names {named}")).with_advice(advice)
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
#[path = "access_tests.rs"]
mod tests;
