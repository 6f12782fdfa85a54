//! Where a time is in each partition: Event Hubs tells only by giving the first event from there on.

use crate::{
    client::Client,
    connection::Connection,
    describe::Management,
    error::{incomplete, unanswered},
    message,
    receiver::{Opening, Origin, Receiver},
};
use anyhub_core::Result;
use azure_core_amqp::AmqpDeliveryApis as _;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;

/// For an event that is there to come.
const COMES: Duration = Duration::from_secs(10);

/// The sequence number of the first event of each partition that came at `time` or later; of the next
/// event where none has.
pub(crate) async fn at(
    client: &Client,
    operation: &'static str,
    group: &str,
    time: SystemTime,
) -> Result<Vec<(u32, i64)>> {
    let group: Arc<str> = group.into();
    let question = move |connection: Arc<Connection>| {
        let group = group.clone();
        async move {
            let management = Management::open(&connection, operation).await?;
            let told = async {
                let numbers = management.partitions().await?;
                let ends = management.all_ends(&numbers).await?;
                Ok(numbers.into_iter().zip(ends))
            };
            let told = told.await;
            management.close().await;
            let mut found = Vec::new();
            for (partition, ends) in told? {
                let past = ends.first == ends.next || ends.last.is_none_or(|last| last < time);
                let at = match past {
                    true => ends.next,
                    false => first(&connection, operation, &group, partition, time).await?,
                };
                found.push((partition, at));
            }
            Ok(found)
        }
    };
    client.ask(operation, question).await
}

async fn first(
    connection: &Arc<Connection>,
    operation: &'static str,
    group: &str,
    partition: u32,
    time: SystemTime,
) -> Result<i64> {
    let opening = Opening {
        group,
        partition,
        origin: Origin::Time(time),
        epoch: None,
        credit: 1,
    };
    let receiver = Receiver::open(connection.clone(), operation, opening).await?;
    let came = timeout(COMES, receiver.next()).await;
    let delivery = came.map_err(|_| unanswered(operation, "a time"))??;
    let read = message::decode(delivery.into_message());
    let read = read.ok_or_else(|| incomplete(operation, "sequence number of an event"))?;
    Ok(read.at)
}
