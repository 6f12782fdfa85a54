//! Streams in a time of their own, of which nothing is heard.

use super::*;
use crate::{client::Client, config::PubSubConfig, error::closed, subscription::Subscription};
use anyhub_core::{ConsumerOptions, ErrorKind};

fn pulse() -> Pulse {
    Pulse::new(mpsc::channel(1).0)
}

#[tokio::test(start_paused = true)]
async fn what_never_opens_is_given_up() {
    let (_stop, mut stopped) = watch::channel(false);
    let open = std::future::pending::<Result<(), Failure>>();
    let mut pulse = pulse();
    let never = opened(open, &mut pulse, "score", &mut stopped);
    let failure = timeout(2 * SILENCE, never).await.unwrap().unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Unavailable);
    assert!(failure.passing, "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_is_said_can_be_read() {
    let config = PubSubConfig::new("p").endpoint("http://127.0.0.1:1");
    let subscription = Subscription {
        name: "projects/p/subscriptions/score".to_owned(),
        topic: "projects/p/topics/tweets".to_owned(),
        private: false,
        ack_deadline: Duration::from_secs(10),
        client_id: "c".to_owned(),
        buries: None,
        watch: crate::watch::Watch::default(),
    };
    let line = Client::new(config).unwrap().line().unwrap();
    let shared = Shared::new(line, subscription, ConsumerOptions::new());
    let (_stop, mut stopped) = watch::channel(false);
    let mut health = Health::new("score");
    for _ in 0..3 {
        health.failed(&closed("receive", "stream"));
        let (mut silence, mut pulse) = (stream::pending(), pulse());
        let read = read(&shared, &mut silence, &mut pulse, &mut health, &mut stopped);
        let failure = timeout(2 * SILENCE, read).await.unwrap().unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Unavailable);
        assert!(failure.passing, "{failure:?}");
        assert_eq!(health.outage.partitions(), 0, "it was taken for away");
    }
}
