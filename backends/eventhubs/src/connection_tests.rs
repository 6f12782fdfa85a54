use super::*;
use crate::{client::Namespace, config::EventHubsConfig};

#[tokio::test(start_paused = true)]
async fn one_who_does_not_answer_is_named() {
    // It takes connections in, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap().to_string();
    let config = EventHubsConfig::new()
        .namespace("localhost")
        .endpoint(format!("amqp://{place}"));
    let target = Namespace::new(config).target("producer", "t").unwrap();
    let error = Connection::open("producer", &target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains(&place), "{error}");
}
