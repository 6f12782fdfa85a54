//! Google Cloud Pub/Sub for anyhub: strict order for each ordering key, acks that are confirmed, outcomes that are true.
//!
//! Applications take it through the crate `anyhub` with its feature `pubsub`, as `pubsub://PROJECT/TOPIC`;
//! [`PubSubConfig`] says what can stand there, and where credentials come from.
//!
//! Pub/Sub is no log: it has no partitions and no positions, and gives a message again until it is acknowledged. Here a
//! topic is one partition, 0, which all members of a group share; what is in order, and is acknowledged in order, is an
//! ordering key.
//!
//! | clause | on Pub/Sub |
//! |---|---|
//! | E1 | the ordering key; what has none has no order |
//! | E2 | an event with neither payload nor headers has the attribute `anyhub-empty`, since Pub/Sub takes nothing empty |
//! | E3 | attributes, up to 100; where the names are not in order, the attribute `anyhub-order` tells it |
//! | E5 | 10 MB, less what surrounds the event in a request |
//! | P2 | nothing in Pub/Sub tells an event that was sent again from the first: an answer that is lost may write events twice |
//! | P3 | a request has one key, and a key one request in flight; what failed goes first in the next one. Pub/Sub orders what is published in one region: an `endpoint` of a region keeps producers together |
//! | P4 | no answer of Pub/Sub tells when the event was published, which its position begins with |
//! | C2 | ack deadlines of `ack_deadline` in [`PubSubConfig`] are prolonged for as long as the application is there; what could not be prolonged in time is stale here before somebody else may have it |
//! | C3 | acks go to the service in the order of their key, each request is answered before a commit is. Without `exactly_once` Pub/Sub answers Ok to an ack that came too late, too: that event comes again. With it, it says so, and the commit is Fenced; so it is where an ack was taken and its answer lost, since it is refused when it is tried again. What comes again before the service was told of its ack has to be acknowledged again: until then a commit is Fenced, too |
//! | C4 | `max_unfinished` is of a key; what has no key is one lane. `prefetch_events` and `prefetch_bytes` bound what is not acknowledged, of all keys. Where keys that stand still have taken most of that, they keep what was handed on, and the others go on: DESIGN.md says how, and that four times as much may be held then. Where more than three times `prefetch_events` were nacked and have not come again, they are forgotten, and their attempts are counted anew |
//! | C5 | nacked at the service when the delay is over, so that attempts count for `dead_letter`; what the service gives again begins with that event. A nack that it did not take holds its key until the deadline has passed |
//! | C6 | the service may also go back by itself: where a deadline passed, an ack was not taken, or another member has sought. Then the key is replayed from there on, as after a nack, and tokens of before are stale |
//! | C7 | a group is the subscription of its name, made with its first consumer; the start is kept as the label `anyhub-start` until it is reached, beside `anyhub-opener`, the one consumer that may move the group there. Who opens it meanwhile waits, and does it itself once that one has been silent for 30 s. Before the end of a topic can be read what its retention keeps: a topic made by others may keep nothing, and then an earlier start is Unsupported |
//! | C8 | moves the subscription, and so the group; NotFound where its topic was deleted, also where one of the same name was made anew. A position up to 5 minutes ahead of this machine's clock is now by it. The end, and a time to come, are now by this machine's clock: Pub/Sub tells no other |
//! | C9 | there is no checkpoint that could be compared: the subscription keeps what is acknowledged |
//! | C10 | a key is with one consumer until nothing of it is outstanding there. One whose process, or its runtime, stood still for more than a fifth of `ack_deadline` gives up what it held: Lost, and Assigned anew |
//! | C11 | there are no partitions that could be split or merged |
//! | C12 | a subscription of its own, which goes with the reader, or after a day |
//! | C13 | there is nothing to resize |
//! | C14 | not told: what retention removed simply does not come |
//!
//! A position is the time of publishing and the id; to seek to one is to seek to its time, which may replay its
//! neighbours, and to the one right after an event gives that event again, too. After a seek Pub/Sub may for a while give what stands before it ("eventually consistent", it says).
//!
//! ## Groups
//!
//! A group is a subscription of the same project, and so has one topic. One that others made is taken as it is, if it
//! keeps the order of keys and is pulled; otherwise it is refused. `Admin` knows the members that this hub has opened, and no others:
//! Pub/Sub tells of none. Groups made here never expire; `Admin::delete_group` ends one. One that is there keeps its options: where
//! `exactly_once` was asked for and it has it not, it is refused, and what else differs is told by a warning.
//!
//! What was fetched ahead stays with its member: where an event takes long, a
//! [`prefetch_events`](anyhub_core::ConsumerOptions::prefetch_events) of a few seconds' work lets members that join share a
//! backlog.
//!
//! A stream does not tell that its topic was deleted. So a consumer to which nothing has come for 10 s asks for its
//! subscription, then ever more seldom, up to once a minute: `receive` is NotFound then, and Invalid where it was detached.
//!
//! ## Roles
//!
//! `pubsub.publisher` writes; whether the topic is there, its first event tells then. `pubsub.subscriber` and
//! `pubsub.viewer`, on the subscription, read a group that is there; without the latter, taken away later, nobody tells a consumer that its topic was deleted. `pubsub.editor` makes topics and groups, and so private
//! readers, too.
//!
//! Dead letters are forwarded by the project's Pub/Sub service agent,
//! `service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com`: it needs `pubsub.publisher` on the dead-letter topic and
//! `pubsub.subscriber` on the group's subscription, or nothing is forwarded (Pub/Sub documentation, "Dead-letter topics",
//! 2026-11).
//!
//! ## The SDK
//!
//! [`NativeHub`] opens Google's own clients for what the traits leave out: snapshots, schemas, filters.
//!
//! ## TLS
//!
//! Where the process has a default provider of rustls, that is taken, and aws-lc-rs otherwise. Certificates are checked
//! against the system's; `SSL_CERT_FILE` names others to trust.

mod admin;
mod api;
mod client;
mod config;
mod consumer;
mod error;
mod hub;
mod keeper;
mod keys;
mod message;
mod name;
mod native;
mod options;
mod outbox;
mod producer;
mod send;
mod shared;
mod standing;
mod stream;
mod subscription;
mod usage;
mod watch;
mod wire;

pub use config::PubSubConfig;
/// The SDK's credentials, in the version that this crate is built on: for [`PubSubConfig::credentials`].
pub use google_cloud_auth;
/// The SDK itself, in the same way: for what [`NativeHub`] and the others hand out.
pub use google_cloud_pubsub;
pub use hub::PubSubHub;
pub use native::{NativeHub, NativeSubscription, NativeTopic};
