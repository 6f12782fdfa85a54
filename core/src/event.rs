use bytes::Bytes;
use std::fmt;

/// The key of an event: events of one key keep their order (P3, C6).
///
/// Portable keys are UTF-8 of 1 to 128 characters; what a hub can't carry is refused there as
/// Invalid when the event is submitted (E1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Bytes);

impl Key {
    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text, or None where it is no UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => write!(f, "Key({text:?})"),
            None => write!(f, "Key({:?})", self.0),
        }
    }
}

impl From<&'static str> for Key {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Bytes> for Key {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Key> for Bytes {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// A header of an event: a name and a value (E3).
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    // UTF-8 by construction; kept as Bytes so that a received name is a slice of its batch.
    name: Bytes,
    value: Bytes,
}

impl Header {
    /// A header called `name`.
    pub fn new(name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self {
            name: name.into().into(),
            value: value.into(),
        }
    }

    /// A header whose name is a slice of a received batch; None where the name is no UTF-8.
    pub fn from_bytes(name: Bytes, value: Bytes) -> Option<Self> {
        std::str::from_utf8(&name).ok()?;
        Some(Self { name, value })
    }

    /// The name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or_default()
    }

    /// The value.
    pub fn value(&self) -> &Bytes {
        &self.value
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.name(), self.value)
    }
}

/// What is published and received: a payload, and perhaps a key and headers.
///
/// ```
/// use anyhub_core::Event;
/// let event = Event::new("what a day").with_key("user-7").with_header("lang", "en");
/// assert_eq!(event.key.as_ref().and_then(|key| key.as_str()), Some("user-7"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The key, if there is one; None is not the empty key (E1).
    pub key: Option<Key>,
    /// The payload, possibly empty (E2).
    pub payload: Bytes,
    /// The headers, in order (E3).
    pub headers: Vec<Header>,
    tombstone: bool,
}

impl Event {
    /// A keyless event with this payload.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// Kafka's null payload for `key`: the mark that deletes it from a compacted topic (E2).
    /// Where [`Capabilities::tombstones`](crate::Capabilities) is false, submitting it is
    /// Unsupported.
    pub fn tombstone(key: impl Into<Key>) -> Self {
        Self {
            key: Some(key.into()),
            tombstone: true,
            ..Self::default()
        }
    }

    /// The same event under `key`.
    pub fn with_key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same event with one more header.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Whether the payload is Kafka's null, which is not the empty payload (E2).
    pub fn is_tombstone(&self) -> bool {
        self.tombstone
    }

    /// Bytes of key, payload and headers: what limits and buffers count (E5).
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.len())
            .sum();
        self.key.as_ref().map_or(0, |key| key.0.len()) + self.payload.len() + headers
    }

    /// A copy that shares no memory with the batch it came in: for an event that is kept long.
    pub fn detach(&self) -> Self {
        let own = Bytes::copy_from_slice;
        Self {
            key: self.key.as_ref().map(|key| Key(own(&key.0))),
            payload: own(&self.payload),
            headers: self
                .headers
                .iter()
                .map(|header| Header {
                    name: own(&header.name),
                    value: own(&header.value),
                })
                .collect(),
            tombstone: self.tombstone,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Event");
        out.field("key", &self.key);
        if self.tombstone {
            out.field("tombstone", &true);
        } else {
            out.field("payload", &self.payload);
        }
        if !self.headers.is_empty() {
            out.field("headers", &self.headers);
        }
        out.finish()
    }
}
