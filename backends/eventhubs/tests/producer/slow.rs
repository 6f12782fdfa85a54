//! A way to the stand-in that is slow, and loses nothing.

use crate::log::{config, publish, read, server, within};
use anyhub_core::{Event, Hub, Partition, Producer, ProducerOptions};
use anyhub_eventhubs::EventHubsHub;
use anyhub_local::eventhubs::EventHubs;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
    time::sleep,
};

/// Passes on what comes, as fast as it may: bytes a second to the stand-in, 0 as fast as can be.
async fn pass(listener: TcpListener, port: u16, rate: Arc<AtomicU32>) {
    let mut running = JoinSet::new();
    while let Ok((from, _)) = listener.accept().await {
        let to = TcpStream::connect(("localhost", port)).await.unwrap();
        let ((from, back), (mut answers, to)) = (from.into_split(), to.into_split());
        running.spawn(slowly(from, to, rate.clone()));
        running.spawn(async move {
            let mut back = back;
            copy(&mut answers, &mut back).await.map(drop)
        });
    }
}

async fn slowly(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rate: Arc<AtomicU32>,
) -> io::Result<()> {
    let mut buffer = vec![0; 8 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        let rate = rate.load(Ordering::Relaxed);
        if rate > 0 {
            sleep(Duration::from_secs_f64(read as f64 / f64::from(rate))).await;
        }
    }
}

/// A hub by such a way.
fn hub_by(server: &EventHubs, rate: Arc<AtomicU32>) -> EventHubsHub {
    let endpoint = server.endpoint();
    let (scheme, port) = endpoint.rsplit_once(':').unwrap();
    let port = port.trim_end_matches('/').parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(256 << 10).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(16).unwrap();
    let endpoint = format!("{scheme}:{}", listener.local_addr().unwrap().port());
    tokio::spawn(pass(listener, port, rate));
    EventHubsHub::new(config(server).endpoint(endpoint)).unwrap()
}

/// A key of each partition.
async fn keys(producer: &dyn Producer, partitions: u32) -> Vec<String> {
    let mut keys = vec![None; partitions as usize];
    for number in 0.. {
        let key = format!("key-{number}");
        let receipts = publish(producer, vec![Event::new("first").with_key(key.clone())]).await;
        let partition = receipts[0]
            .partition
            .as_ref()
            .and_then(Partition::as_number);
        keys[partition.unwrap() as usize].get_or_insert(key);
        if keys.iter().all(Option::is_some) {
            break;
        }
    }
    keys.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_batches_get_through_once_however_long_they_take() {
    let server = server(2);
    let rate = Arc::new(AtomicU32::new(0));
    let hub = hub_by(&server, rate.clone());
    let producer = within(hub.producer("t", ProducerOptions::new()))
        .await
        .unwrap();
    let keys = keys(&*producer, 2).await;
    let before = server.counts();
    rate.store(300_000, Ordering::Relaxed);
    let event = |key: &String| Event::new("x".repeat(1_000_000)).with_key(key.clone());
    // Two at a time, which is some seven seconds.
    let events = keys.iter().chain(&keys).map(event);
    publish(&*producer, events.collect()).await;
    rate.store(0, Ordering::Relaxed);
    let counts = server.counts();
    assert_eq!(
        counts.events_in - before.events_in,
        4,
        "none is there twice"
    );
    assert_eq!(
        counts.connections, before.connections,
        "the connection stays"
    );
    let large = |payload: &str| payload.len() == 1_000_000;
    let log = read(&server, "t").await;
    assert_eq!(log.iter().filter(|event| large(&event.payload)).count(), 4);
    within(hub.close()).await.unwrap();
}
