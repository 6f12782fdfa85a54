//! Places where something answers, and it is no Pub/Sub.

use crate::{told, within};
use anyhub_core::{ConsumerOptions, ErrorKind, Hub, ProducerOptions};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Answers every connection so.
fn answering(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream);
        }
    });
    endpoint
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
    let endpoint = answering(|mut stream| {
        let mut asked = [0; 1_024];
        let _ = stream.read(&mut asked);
        let page = "<html>no</html>";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
        let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len());
    });
    refused(endpoint, ErrorKind::Unexpected, "no Pub/Sub").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence() {
    let kept = std::sync::Mutex::new(Vec::new());
    let endpoint = answering(move |stream| kept.lock().unwrap().push(stream));
    refused(endpoint, ErrorKind::Timeout, "no answer").await;
}
