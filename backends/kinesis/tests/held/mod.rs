//! A way to a server that can be held up: nothing goes through any more, and nothing is refused.

use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};

/// A port that leads to the server, while it is open.
pub(crate) struct Gate {
    endpoint: String,
    open: Arc<watch::Sender<bool>>,
    accepting: AbortHandle,
}

impl Gate {
    /// To the server at `http://HOST:PORT`.
    pub(crate) async fn open(endpoint: &str) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let address = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let open = Arc::new(watch::Sender::new(true));
        let gate = open.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&address).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, gate.subscribe()));
                tokio::spawn(carry(from_server, to_client, gate.subscribe()));
            }
        });
        Ok(Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            open,
            accepting: accepting.abort_handle(),
        })
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Holds everything up until what this gives is dropped.
    pub(crate) fn close(self) -> impl Send + 'static {
        self.open.send_replace(false);
        Held(self)
    }
}

struct Held(Gate);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if open.wait_for(|open| *open).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
