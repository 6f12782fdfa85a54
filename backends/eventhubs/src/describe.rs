//! What an event hub tells of itself and of its partitions, by `$management`.

use crate::{
    connection::Connection,
    error::{incomplete, unanswered},
};
use anyhub_core::Result;
use azure_core::credentials::AccessToken;
use azure_core_amqp::{
    AmqpManagement, AmqpManagementApis as _, AmqpOrderedMap, AmqpSimpleValue, AmqpValue,
};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// A conversation with `$management`.
pub(crate) struct Management<'a> {
    connection: &'a Connection,
    amqp: AmqpManagement,
    operation: &'static str,
}

/// Where a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The sequence number of the oldest event; of the next one where there is none.
    pub(crate) first: i64,
    /// The sequence number of the next event.
    pub(crate) next: i64,
    /// When the last event came, if there ever was one.
    pub(crate) last: Option<SystemTime>,
}

/// For a peer to take its leave.
const CLOSE: Duration = Duration::from_secs(1);

impl<'a> Management<'a> {
    pub(crate) async fn open(
        connection: &'a Connection,
        operation: &'static str,
    ) -> Result<Management<'a>> {
        let access = &connection.target().access;
        let token = access.token(operation, connection.target().url.as_str());
        let token = timeout(Duration::from_secs(15), token).await;
        let token = token.map_err(|_| unanswered(operation, "a token"))??;
        let session = connection.session(operation).await?;
        let token = AccessToken::new(token.text, token.expires);
        let opening = async {
            let amqp = AmqpManagement::new(session, connection.name("management"), token)?;
            amqp.attach().await?;
            Ok(amqp)
        };
        let amqp = connection.within(operation, "$management", opening).await?;
        Ok(Self {
            connection,
            amqp,
            operation,
        })
    }

    /// The numbers of the hub's partitions, in order. NotFound if it is not there.
    pub(crate) async fn partitions(&self) -> Result<Vec<u32>> {
        let told = self.read("com.microsoft:eventhub", None).await?;
        let Some(AmqpValue::Array(ids)) = told.get("partition_ids") else {
            return Err(incomplete(self.operation, "partitions"));
        };
        let number = |id: &AmqpValue| match id {
            AmqpValue::String(id) => id.parse().ok(),
            _ => None,
        };
        let numbers: Option<Vec<u32>> = ids.iter().map(number).collect();
        match numbers {
            Some(mut numbers) if !numbers.is_empty() => {
                numbers.sort_unstable();
                Ok(numbers)
            }
            _ => Err(incomplete(self.operation, "partitions by their numbers")),
        }
    }

    /// Where a partition stands.
    pub(crate) async fn ends(&self, partition: u32) -> Result<Ends> {
        let told = self
            .read("com.microsoft:partition", Some(partition))
            .await?;
        let number = |name: &str| match told.get(name) {
            Some(AmqpValue::Long(number)) => Ok(*number),
            Some(AmqpValue::Int(number)) => Ok(i64::from(*number)),
            _ => Err(incomplete(self.operation, name)),
        };
        let next = number("last_enqueued_sequence_number")?.saturating_add(1);
        let first = number("begin_sequence_number")?.clamp(0, next);
        let empty = matches!(
            told.get("is_partition_empty"),
            Some(AmqpValue::Boolean(true))
        );
        let last = match told.get("last_enqueued_time_utc") {
            Some(AmqpValue::TimeStamp(time)) if next > 0 => time.0,
            _ => None,
        };
        Ok(Ends {
            first: if empty { next } else { first },
            next,
            last,
        })
    }

    /// Where each of these stands.
    pub(crate) async fn all_ends(&self, partitions: &[u32]) -> Result<Vec<Ends>> {
        let mut ends = Vec::with_capacity(partitions.len());
        for partition in partitions {
            ends.push(self.ends(*partition).await?);
        }
        Ok(ends)
    }

    pub(crate) async fn close(self) {
        let leaving = timeout(CLOSE, self.amqp.detach()).await;
        if !matches!(leaving, Ok(Ok(()))) {
            tracing::debug!("$management does not take its leave");
        }
    }

    async fn read(
        &self,
        what: &str,
        partition: Option<u32>,
    ) -> Result<AmqpOrderedMap<String, AmqpValue>> {
        let mut names = AmqpOrderedMap::new();
        let hub = &*self.connection.target().hub;
        names.insert("name".to_owned(), AmqpSimpleValue::from(hub));
        if let Some(partition) = partition {
            let id = AmqpSimpleValue::from(partition.to_string());
            names.insert("partition".to_owned(), id);
        }
        let call = self.amqp.call(what.to_owned(), names);
        let told = self.connection.within(self.operation, what, call).await;
        self.connection.told(told).await
    }
}

/// Asks once, and lets go.
pub(crate) async fn partitions(
    connection: &Connection,
    operation: &'static str,
) -> Result<Vec<u32>> {
    let management = Management::open(connection, operation).await?;
    let told = management.partitions().await;
    management.close().await;
    told
}
