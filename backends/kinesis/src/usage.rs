use anyhub_core::Usage;
use std::sync::atomic::{AtomicU64, Ordering};

/// What Kinesis bills, counted as it is put and read.
///
/// Units: a PUT payload unit is 25 KB of one record, rounded up; on-demand streams bill each record
/// rounded up to 1 KB (Amazon Kinesis Data Streams pricing, 2026-09).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    put_records: AtomicU64,
    put_payload_units: AtomicU64,
    put_kilobytes: AtomicU64,
    bytes_in: AtomicU64,
    get_records_calls: AtomicU64,
    bytes_out: AtomicU64,
    fan_out_bytes: AtomicU64,
}

/// Bytes of a PUT payload unit.
const UNIT: u64 = 25 * 1024;

impl Counters {
    /// Records of so many bytes each, key and data, were put.
    pub(crate) fn put(&self, records: impl Iterator<Item = usize>) {
        let [mut records_put, mut units, mut kilobytes, mut bytes_in] = [0; 4];
        for bytes in records.map(|bytes| bytes as u64) {
            records_put += 1;
            units += bytes.div_ceil(UNIT).max(1);
            kilobytes += bytes.div_ceil(1024).max(1);
            bytes_in += bytes;
        }
        add(&self.put_records, records_put);
        add(&self.put_payload_units, units);
        add(&self.put_kilobytes, kilobytes);
        add(&self.bytes_in, bytes_in);
    }

    /// A GetRecords gave so many bytes of records.
    pub(crate) fn got(&self, bytes: usize) {
        add(&self.get_records_calls, 1);
        add(&self.bytes_out, bytes as u64);
    }

    /// An event of SubscribeToShard gave so many bytes of records.
    pub(crate) fn fanned_out(&self, bytes: usize) {
        add(&self.fan_out_bytes, bytes as u64);
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let all = [
            ("put_records", &self.put_records),
            ("put_payload_units", &self.put_payload_units),
            ("put_kilobytes", &self.put_kilobytes),
            ("bytes_in", &self.bytes_in),
            ("get_records_calls", &self.get_records_calls),
            ("bytes_out", &self.bytes_out),
            ("fan_out_bytes", &self.fan_out_bytes),
        ];
        for (unit, amount) in all {
            usage.add(unit, amount.load(Ordering::Relaxed));
        }
        usage
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
