//! Which server answers at an address.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long it has to say so.
const PATIENCE: Duration = Duration::from_secs(2);
/// The head of an answer fits into this.
const HEAD: u64 = 4 << 10;

/// Whether the server of an `http://` endpoint says that it is the stand-in of `anyhub-local`. No answer,
/// or TLS: no.
pub(super) async fn is_stand_in(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let head = async {
        let mut stream = TcpStream::connect(authority).await.ok()?;
        let ask = format!("GET / HTTP/1.0\r\nHost: {authority}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(HEAD).read_to_end(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).to_ascii_lowercase())
    };
    let head = timeout(PATIENCE, head).await.ok().flatten();
    head.is_some_and(|head| head.contains("\r\nserver: anyhub-local"))
}
