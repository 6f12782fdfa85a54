//! What is asked on `$cbs` and `$management`, and the answers.
//!
//! Source: "AMQP 1.0 protocol guide", claims-based authorization; for management what Microsoft's clients send and read
//! (2026-11).

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::access::Grants;
use super::address::Address;
use super::amqp::message::{Answer, Message};
use super::amqp::read::Malformed;
use super::amqp::write::Compound;
use super::hub::{Hub, Namespace, Partition};
use super::publisher::not_found;

/// Message-id and reply-to among a message's properties (part 3, 3.2.4).
const MESSAGE_ID: usize = 0;
const REPLY_TO: usize = 4;

/// An answer, and the address that it was asked to be sent to, if it was.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) to: Option<String>,
    pub(super) message: BytesMut,
}

/// Answers a request to this address.
///
/// # Errors
/// Malformed if it can't be read.
pub(super) fn answer(
    address: &Address,
    namespace: &Namespace,
    grants: &mut Grants,
    payload: &[u8],
) -> Result<Reply, Malformed> {
    let request = Message::read(payload)?;
    let correlation = request.property(MESSAGE_ID)?;
    let to = super::amqp::read::value(request.property(REPLY_TO)?)?.text();
    let mut message = BytesMut::new();
    let answered = match address {
        Address::Cbs => put_token(&request, grants, namespace)?,
        _ => read(&request, namespace, grants)?,
    };
    let told = Answer {
        correlation,
        status: answered.status,
        description: &answered.description,
        condition: answered.condition,
    };
    told.write(&mut message, |out| match answered.body {
        Some(Body::Hub(hub)) => describe_hub(out, &hub),
        Some(Body::Partition(hub, id, partition)) => describe_partition(out, &hub, &id, &partition),
        None => out.put_u8(0x40),
    });
    Ok(Reply {
        to: to.map(ToOwned::to_owned),
        message,
    })
}

struct Answered {
    status: i32,
    description: String,
    condition: Option<&'static str>,
    body: Option<Body>,
}

enum Body {
    Hub(Arc<Hub>),
    Partition(Arc<Hub>, String, Arc<Partition>),
}

impl Answered {
    fn ok(status: i32, description: &str, body: Option<Body>) -> Self {
        Answered {
            status,
            description: description.to_owned(),
            condition: None,
            body,
        }
    }

    fn refused(
        status: i32,
        condition: impl Into<Option<&'static str>>,
        description: impl Into<String>,
    ) -> Self {
        Answered {
            status,
            description: description.into(),
            condition: condition.into(),
            body: None,
        }
    }
}

fn put_token(
    request: &Message<'_>,
    grants: &mut Grants,
    namespace: &Namespace,
) -> Result<Answered, Malformed> {
    let operation = request.application("operation")?.unwrap_or_default();
    if operation != "put-token" {
        return Ok(unknown(operation));
    }
    let token = request.text().unwrap_or_default();
    let put = match request.application("type")? {
        Some("servicebus.windows.net:sastoken") => grants.put(token),
        Some("jwt") => {
            let resource = request.application("name")?.unwrap_or_default();
            grants.put_bearer(&namespace.bearers, resource, token)
        }
        _ => Err("MalformedToken: Shared access signatures are understood here, and jwt."),
    };
    Ok(match put {
        Ok(()) => Answered::ok(202, "Accepted", None),
        Err(why) => {
            namespace.counters.add(|counts| counts.refused_tokens += 1);
            // Without a condition: with one Python's client no longer sees the status.
            Answered::refused(401, None, why)
        }
    })
}

fn read(
    request: &Message<'_>,
    namespace: &Namespace,
    grants: &Grants,
) -> Result<Answered, Malformed> {
    let operation = request.application("operation")?.unwrap_or_default();
    if operation != "READ" {
        return Ok(unknown(operation));
    }
    let name = request.application("name")?.unwrap_or_default();
    if !grants.cover_properties(name) {
        let why = format!("Unauthorized access. 'Listen' claim(s) are required to read '{name}'.");
        return Ok(Answered::refused(401, "amqp:unauthorized-access", why));
    }
    let Some(hub) = namespace.hub(name) else {
        let missing = not_found(name);
        return Ok(Answered::refused(
            404,
            missing.condition,
            missing.description,
        ));
    };
    let body = match (
        request.application("type")?,
        request.application("partition")?,
    ) {
        (Some("com.microsoft:eventhub"), _) => Body::Hub(hub),
        (Some("com.microsoft:partition"), Some(id)) => match hub.partition(id) {
            Ok(partition) => Body::Partition(hub, id.to_owned(), partition),
            Err(e) => return Ok(Answered::refused(400, e.condition, e.description)),
        },
        (what, _) => return Ok(unknown(what.unwrap_or_default())),
    };
    Ok(Answered::ok(200, "OK", Some(body)))
}

fn unknown(what: &str) -> Answered {
    Answered::refused(
        400,
        "amqp:not-implemented",
        format!("'{what}' is not understood here."),
    )
}

fn describe_hub(out: &mut BytesMut, hub: &Hub) {
    let ids: Vec<_> = (0..hub.partitions().len()).map(|n| n.to_string()).collect();
    let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
    Compound::map(out)
        .string("name")
        .string(&hub.name)
        .string("type")
        .string("com.microsoft:eventhub")
        .string("created_at")
        .timestamp(hub.created)
        .string("partition_count")
        .int(count)
        .string("partition_ids")
        .array(0xb1, ids.iter().map(String::as_str))
        .end();
}

fn describe_partition(out: &mut BytesMut, hub: &Hub, id: &str, partition: &Partition) {
    let ends = partition.log().ends();
    Compound::map(out)
        .string("name")
        .string(&hub.name)
        .string("type")
        .string("com.microsoft:partition")
        .string("partition")
        .string(id)
        .string("begin_sequence_number")
        .long(ends.first)
        .string("last_enqueued_sequence_number")
        .long(ends.last)
        // The Rust client can't do without it.
        .string("last_enqueued_sequence_number_epoch")
        .long(0)
        .string("last_enqueued_offset")
        .string(&ends.last_offset.to_string())
        .string("last_enqueued_time_utc")
        .timestamp(ends.last_time)
        .string("is_partition_empty")
        .bool(ends.empty)
        .end();
}
