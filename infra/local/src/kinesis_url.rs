/// The URL of a local Kinesis, without a stream. Both servers take 5 MiB a PutRecords, half of what
/// AWS takes, and groups need a place: this process's memory will do for a try.
pub(crate) fn of(endpoint: &str) -> String {
    format!("kinesis://us-east-1?endpoint={endpoint}&max_batch_bytes=5242880&leases=memory")
}
