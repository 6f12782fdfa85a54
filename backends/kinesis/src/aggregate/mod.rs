//! Several events in one Kinesis record: the KPL's aggregated record format, both ways.
//!
//! ```text
//! f3 89 9a c2 | AggregatedRecord, protobuf | MD5 of the protobuf
//!
//! message AggregatedRecord {                 message Record {
//!   repeated string partition_key_table = 1;     required uint64 partition_key_index = 1;
//!   repeated string explicit_hash_key_table = 2; optional uint64 explicit_hash_key_index = 2;
//!   repeated Record records = 3;                 required bytes data = 3;
//! }                                            repeated Tag tags = 4;
//!                                            }
//! ```
//!
//! Source: amazon-kinesis-producer, aggregation-format.md, and amazon-kinesis-client 3.x,
//! AggregatorUtil (both read 2026-11-25). Public for this crate's tests, benches and
//! `make interop` only; outside semver.

mod decode;
mod encode;
mod hash;
mod table;
mod wire;

pub use decode::{Aggregate, SubRecord, SubRecords};
pub use encode::{Aggregator, Record};
pub use hash::{HashRange, hash_key};

/// How an aggregated record begins.
pub const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// The length of the MD5 at its end.
const DIGEST: usize = 16;

/// AggregatedRecord's fields.
const KEYS: u32 = 1;
const HASHES: u32 = 2;
const RECORDS: u32 = 3;

/// Record's fields.
const KEY_INDEX: u32 = 1;
const HASH_INDEX: u32 = 2;
const DATA: u32 = 3;
const TAGS: u32 = 4;
