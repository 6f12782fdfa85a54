//! An endpoint that speaks otherwise than its URL says.

use super::*;
use crate::{client::Stream, shards};
use anyhub_core::{Error, ErrorKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

async fn asked(endpoint: String) -> Error {
    let config = KinesisConfig::new().region("us-east-1").endpoint(endpoint);
    let link = Link::new(config);
    let stream = Stream::new("test", STREAM).unwrap();
    let listing = shards::list(&link, "test", &stream);
    timeout(PATIENCE, listing).await.unwrap().unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_to_a_plain_server_says_so() {
    let kinesis = Kinesis::builder().start().unwrap();
    let endpoint = kinesis.endpoint().replace("http://", "https://");
    let error = asked(endpoint).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let advice = error.advice().unwrap();
    assert!(advice.contains("endpoint=http://"), "{error}");
}

/// As OpenSSL and rustls answer what is no handshake: an alert, and the connection is closed.
#[tokio::test(flavor = "multi_thread")]
async fn http_to_a_tls_server_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut some = [0; 16];
            let _ = client.read(&mut some).await;
            let _ = client.write_all(&[21, 3, 3, 0, 2, 2, 50]).await;
            let _ = client.shutdown().await;
        }
    });
    let error = asked(format!("http://127.0.0.1:{port}")).await;
    serving.abort();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let advice = error.advice().unwrap();
    assert!(advice.contains("endpoint=https://"), "{error}");
}
