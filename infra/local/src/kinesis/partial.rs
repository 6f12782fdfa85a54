//! PutRecords of which some records fail: what is left of the request, and the answer to the whole.

use serde_json::{Value, json};

use super::faults::RecordError;

/// Takes the failing records out of a PutRecords request.
pub(super) fn survivors(request: &mut Value, fails: &[Option<RecordError>]) {
    if let Some(records) = request["Records"].as_array_mut() {
        let mut fails = fails.iter();
        records.retain(|_| fails.next().is_none_or(Option::is_none));
    }
}

/// Puts the failed records back in their places in the answer to the survivors.
pub(super) fn merge(answer: &mut Value, fails: &[Option<RecordError>]) {
    let written = match answer["Records"].take() {
        Value::Array(written) => written,
        _ => Vec::new(),
    };
    let mut written = written.into_iter();
    let all: Vec<Value> = fails
        .iter()
        .filter_map(|fail| match fail {
            Some(error) => Some(entry(*error)),
            None => written.next(),
        })
        .collect();
    let failed = all.iter().filter(|entry| entry.get("ErrorCode").is_some());
    answer["FailedRecordCount"] = json!(failed.count());
    answer["Records"] = Value::Array(all);
}

/// The messages are those in the API reference (PutRecords, 2026-11).
fn entry(error: RecordError) -> Value {
    match error {
        RecordError::Throttled => json!({
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "Rate exceeded for shard, by injection",
        }),
        RecordError::Internal => json!({
            "ErrorCode": "InternalFailure",
            "ErrorMessage": "Internal service failure, by injection",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_records_are_left_out_and_put_back_in_their_places() {
        let fails = [
            None,
            Some(RecordError::Throttled),
            None,
            Some(RecordError::Internal),
        ];
        let mut request = json!({ "StreamName": "s", "Records": [0, 1, 2, 3] });
        survivors(&mut request, &fails);
        assert_eq!(request, json!({ "StreamName": "s", "Records": [0, 2] }));

        // The server has throttled the second survivor by itself.
        let throttled = json!({ "ErrorCode": "ProvisionedThroughputExceededException" });
        let mut answer = json!({
            "FailedRecordCount": 1,
            "Records": [{ "SequenceNumber": "7" }, throttled.clone()],
        });
        merge(&mut answer, &fails);
        assert_eq!(answer["FailedRecordCount"], 3);
        assert_eq!(answer["Records"][0]["SequenceNumber"], "7");
        assert_eq!(
            answer["Records"][1]["ErrorCode"],
            "ProvisionedThroughputExceededException"
        );
        assert_eq!(answer["Records"][2], throttled);
        assert_eq!(answer["Records"][3]["ErrorCode"], "InternalFailure");
    }

    #[test]
    fn where_none_survive_the_answer_holds_failures_only() {
        let mut answer = json!({});
        merge(&mut answer, &[Some(RecordError::Internal); 2]);
        assert_eq!(answer["FailedRecordCount"], 2);
        assert_eq!(answer["Records"].as_array().map(Vec::len), Some(2));
    }
}
