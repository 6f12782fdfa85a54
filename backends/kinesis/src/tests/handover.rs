//! A member that asks another one for a shard.

use super::*;
use tokio::{task::JoinHandle, time::sleep};

/// Opens a second member, and returns once it has asked the first for a shard.
async fn ask(bench: &Bench, first: &KinesisConsumer) -> JoinHandle<KinesisConsumer> {
    let (link, leasing) = (bench.link.clone(), bench.leasing.clone());
    let opening = tokio::spawn(async move {
        let open = consumer::open(link, &leasing, STREAM, member(), Arc::default());
        open.await.unwrap()
    });
    let asking = async {
        while !first.shared().is_asked() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("it asks");
    opening
}

/// Both go on until the second owns so many.
async fn share(first: &mut KinesisConsumer, second: JoinHandle<KinesisConsumer>, shards: usize) {
    let mut second = timeout(PATIENCE, second).await.unwrap().unwrap();
    let sharing = async {
        while second.assignment().len() != shards {
            let _ = timeout(Duration::from_millis(20), first.receive(1)).await;
            let _ = timeout(Duration::from_millis(20), second.receive(1)).await;
        }
    };
    // Far below what a member that asked waits for one that says nothing.
    timeout(Duration::from_secs(10), sharing)
        .await
        .expect("as many each");
    first.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_does_not_hold_up_who_asked_for_a_shard() {
    let bench = Bench::new(4).await;
    bench.put(numbered(40, 200)).await;
    let mut first = bench.consumer(member()).await;
    take(&mut first, 200, false).await;
    let second = ask(&bench, &first).await;
    first.seek(Point::Start).await.unwrap();
    share(&mut first, second, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nack_does_not_hold_up_who_asked_for_a_shard() {
    let bench = Bench::new(2).await;
    bench.put(numbered(40, 200)).await;
    // What comes again has to be read again.
    let mut first = bench.consumer(member().prefetch_bytes(100)).await;
    let came = take(&mut first, 200, false).await;
    let _ = timeout(Duration::from_millis(20), first.receive(1)).await;
    let second = ask(&bench, &first).await;
    let of_both: Vec<_> = came.iter().step_by(9).map(|it| it.token).collect();
    first.acks().nack(&of_both);
    share(&mut first, second, 1).await;
}
