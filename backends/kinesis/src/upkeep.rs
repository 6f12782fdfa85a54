//! What goes on beside the lanes: listing shards, looking for what is late.

use crate::{client::Link, error::HUB, send::Core, shards};
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, sleep_until};

const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_LATEST: Duration = Duration::from_secs(5);

/// Lists the shards when an answer has named another one than was meant.
pub(crate) async fn keep_map(core: Arc<Core>, link: Link) {
    let bell = core.lanes().map_bell();
    let ended = core.lanes().ended();
    let mut wait = Duration::ZERO;
    loop {
        let end = pin!(ended.notified());
        let (done, wanted) = {
            let lanes = core.lanes();
            (lanes.is_done(), lanes.wants_map())
        };
        if done {
            return;
        }
        if !wanted {
            bell.notified().await;
            continue;
        }
        let list = async {
            // One that lags behind is asked again, and no list is asked for all the time.
            sleep(wait).await;
            shards::list(&link, "submit", &core.stream).await
        };
        let listed = tokio::select! {
            listed = list => listed,
            () = end => return,
        };
        wait = (wait.max(AGAIN) * 2).min(AGAIN_LATEST);
        match listed {
            Ok(listed) => {
                let born = core.lanes().mapped(listed, Instant::now());
                if !born.is_empty() {
                    wait = Duration::ZERO;
                }
                core.start(born);
            }
            Err(error) => {
                tracing::warn!(hub = HUB, topic = core.stream.topic(), %error, "can't list shards");
            }
        }
    }
}

/// Tells what is late, whatever Kinesis does.
pub(crate) async fn expire(core: Arc<Core>, deadline: Duration) {
    let bell = core.lanes().late_bell();
    loop {
        let (next, done) = {
            let mut lanes = core.lanes();
            (lanes.expire(Instant::now()), lanes.is_done())
        };
        if done {
            return;
        }
        let next = next.unwrap_or_else(|| Instant::now() + deadline);
        tokio::select! {
            () = sleep_until(next.into()) => {}
            () = bell.notified() => {}
        }
    }
}
