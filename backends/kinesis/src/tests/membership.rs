//! A member that comes, goes and is told at a bad moment.

use super::*;
use tokio::time::sleep;

/// C8: a seek by a member that was away for max_processing takes its shards back first.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_after_max_processing_moves_what_comes_back() {
    let bench = Bench::new(2).await;
    bench.put(numbered(5, 20)).await;
    let options = member().max_processing(Duration::from_millis(200));
    let mut consumer = bench.consumer(options).await;
    for _ in 0..3 {
        take(&mut consumer, 20, true).await;
        let gone = async {
            while !consumer.assignment().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
        let seeking = timeout(PATIENCE, consumer.seek(Point::Start)).await;
        seeking.unwrap().unwrap();
    }
    take(&mut consumer, 20, true).await;
    consumer.close().await.unwrap();
}
