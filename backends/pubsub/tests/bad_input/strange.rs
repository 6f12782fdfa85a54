//! Places where something answers, and it is no Pub/Sub.

use crate::{told, within};
use anyhub_core::{ConsumerOptions, ErrorKind, Hub, ProducerOptions};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use google_cloud_auth::credentials::anonymous;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Answers every connection so.
fn answering(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    endpoint
}

/// Answers what is asked, and hangs up when the other side does: one that hangs up on what it has not read resets the
/// connection, and its answer is lost.
fn says(mut stream: TcpStream, text: &str) {
    let _ = stream.read(&mut [0; 1_024]);
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

async fn refused(endpoint: String, kind: ErrorKind, names: &str) {
    let hub = PubSubHub::new(PubSubConfig::new("p").endpoint(endpoint)).unwrap();
    let error = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap_err();
    told(&error, kind, names);
    let error = within(hub.consumer("tweets", ConsumerOptions::new()))
        .await
        .unwrap_err();
    told(&error, kind, names);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page() {
    let endpoint = answering(|stream| {
        let page = "<html>no</html>";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
        says(
            stream,
            &format!("{head}Content-Length: {}\r\n\r\n{page}", page.len()),
        );
    });
    refused(endpoint, ErrorKind::Unexpected, "no Pub/Sub").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence() {
    let kept = std::sync::Mutex::new(Vec::new());
    let endpoint = answering(move |stream| kept.lock().unwrap().push(stream));
    refused(endpoint, ErrorKind::Timeout, "no answer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_to_a_server_without_tls() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let endpoint = answering(move |stream| {
        count.fetch_add(1, Ordering::Relaxed);
        says(
            stream,
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        );
    });
    let endpoint = endpoint.replace("http:", "https:");
    let nobody = anonymous::Builder::new().build();
    let config = PubSubConfig::new("p")
        .endpoint(endpoint)
        .credentials(nobody);
    let hub = PubSubHub::new(config).unwrap();
    let error = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap_err();
    told(&error, ErrorKind::Unexpected, "speaks no TLS");
    assert!(error.advice().unwrap().contains("http:"), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "it was tried again");
}
