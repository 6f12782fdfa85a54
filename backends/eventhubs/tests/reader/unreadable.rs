//! What others may write, and the SDK can't read.

use crate::world::{World, take, within};
use anyhub_core::{Consumer, ErrorKind, Hub, Partition, Point, Position};
use anyhub_eventhubs::NativeHub;
use azure_core_amqp::{
    AmqpMessage, AmqpSendOptions, AmqpSendOutcome, AmqpSender, AmqpSenderApis, AmqpSession,
    AmqpSessionApis, message::AmqpMessageBody,
};
use std::{
    env,
    process::{Command, Stdio},
};

/// A data section that is null: what Microsoft's JavaScript client sends for a body of null
/// (azure-sdk-for-java #32939).
const NULL: [u8; 4] = [0x00, 0x53, 0x75, 0x40];
/// No body, but empty application properties: what Python's client sends for a value of no text.
const NO_BODY: [u8; 6] = [0x00, 0x53, 0x74, 0xc1, 0x01, 0x00];
/// A body of data.
const FINE: [u8; 7] = [0x00, 0x53, 0x75, 0xa0, 0x02, b'o', b'k'];

/// Writes encoded events to partition 0, as others may.
async fn write(world: &World, events: &[&[u8]]) {
    let native = world.hub.native().downcast_ref::<NativeHub>().unwrap();
    let client = native.client("t").unwrap();
    let connection = client.connection().await.unwrap();
    let session = AmqpSession::new();
    session.begin(&connection, None).await.unwrap();
    let (sender, address) = (AmqpSender::new(), format!("{}/Partitions/0", client.url()));
    let attached = sender.attach(&session, "raw".to_owned(), address, None);
    attached.await.unwrap();
    let message = AmqpMessage {
        body: AmqpMessageBody::Binary(events.iter().map(|event| event.to_vec()).collect()),
        ..AmqpMessage::default()
    };
    let options = AmqpSendOptions {
        message_format: Some(0x8001_3700),
        ..AmqpSendOptions::default()
    };
    let outcome = sender.send(message, Some(options)).await.unwrap();
    assert!(matches!(outcome, AmqpSendOutcome::Accepted));
}

async fn failing(reader: &mut dyn Consumer) -> anyhub_core::Error {
    loop {
        match within(reader.receive(10)).await {
            Ok(batch) => assert!(batch.deliveries.is_empty(), "{batch:?}"),
            Err(error) => return error,
        }
    }
}

#[tokio::test]
async fn an_event_without_a_body_has_an_empty_payload() {
    let world = World::new(1).await;
    write(&world, &[&FINE, &NO_BODY, &FINE]).await;
    let mut reader = world.reader(Point::Start).await;
    let (came, _) = take(&mut *reader, 3).await;
    let payloads: Vec<_> = came.iter().map(|came| &came.event.payload[..]).collect();
    assert_eq!(payloads, [&b"ok"[..], b"", b"ok"]);
}

/// The event of position 1 can't be read: that is told, and a seek goes on behind it.
async fn is_told_and_passed(reader: &mut dyn Consumer) {
    let error = failing(reader).await;
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    let text = error.to_string();
    assert!(text.contains("partition 0, position 1"), "{text}");
    assert!(text.contains("seek to position 2"), "{text}");
    let behind = vec![(Partition::number(0), Position::offset(2))];
    within(reader.seek(Point::Positions(behind))).await.unwrap();
    let (came, _) = take(reader, 1).await;
    assert_eq!(came[0].position, Position::offset(2));
}

#[tokio::test]
async fn one_that_cant_be_read_is_told_and_a_seek_goes_behind_it() {
    let world = World::new(1).await;
    write(&world, &[&FINE, &NULL, &FINE]).await;
    let mut reader = world.reader(Point::Start).await;
    let (came, _) = take(&mut *reader, 1).await;
    assert_eq!(came[0].event.payload, "ok");
    is_told_and_passed(&mut *reader).await;
}

/// A map with an odd number of values: built for debugging, the SDK panics at it.
#[tokio::test]
async fn so_is_one_that_the_sdk_panics_at() {
    const ODD: [u8; 7] = [0x00, 0x53, 0x77, 0xc1, 0x02, 0x01, 0x40];
    let world = World::new(1).await;
    write(&world, &[&FINE, &ODD, &FINE]).await;
    let mut reader = world.reader(Point::Start).await;
    take(&mut *reader, 1).await;
    is_told_and_passed(&mut *reader).await;
}

#[tokio::test]
async fn so_is_the_first_one() {
    let world = World::new(1).await;
    write(&world, &[&NULL, &FINE]).await;
    let mut reader = world.reader(Point::Start).await;
    let error = failing(&mut *reader).await;
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(error.to_string().contains("partition 0"), "{error}");
}

/// How deep values may nest in this build: optimised, all that fits into an event of 1 MiB.
const DEEP: usize = match cfg!(debug_assertions) {
    true => 20_000,
    false => 520_000,
};

/// Values within values: described ones, of 2 bytes each, and lists.
fn nested() -> [Vec<u8>; 2] {
    let described = [0x00, 0x44].repeat(DEEP);
    let lists = (0..DEEP / 9).rev().flat_map(|within| {
        let bytes = u32::try_from(within * 9 + 5).unwrap();
        let size = bytes.to_be_bytes().into_iter();
        [0xd0].into_iter().chain(size).chain(1_u32.to_be_bytes())
    });
    let body = |values: Vec<u8>, last| [&[0x00, 0x53, 0x77], &values[..], &[last]].concat();
    [body(described, 0x40), body(lists.collect(), 0x45)]
}

/// In a process of its own, as a stack that is too small ends it: this test program again.
#[tokio::test]
async fn values_nested_deep_do_not_end_the_process() {
    const CHILD: &str = "ANYHUB_TEST_NESTED";
    if env::var_os(CHILD).is_none() {
        let name = "unreadable::values_nested_deep_do_not_end_the_process";
        let run = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", name])
            .env(CHILD, "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout);
        let why = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{}: {told}{why}", run.status);
        assert!(told.contains("1 passed"), "{told}");
        return;
    }
    let world = World::new(1).await;
    for event in nested() {
        write(&world, &[&event, &FINE]).await;
    }
    let mut reader = world.reader(Point::Start).await;
    let (came, _) = take(&mut *reader, 4).await;
    let fine = came.iter().skip(1).step_by(2);
    assert!(fine.into_iter().all(|came| came.event.payload == "ok"));
}
