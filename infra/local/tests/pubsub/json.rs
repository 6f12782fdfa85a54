//! The API in JSON, as it is on the wire.

use anyhub_local::PubSub;
use serde_json::{Value, json};

use super::client::{SUBSCRIPTION, TOPIC};
use super::raw::json as ask;

#[test]
fn messages_are_published_pulled_extended_nacked_and_acknowledged() {
    let pubsub = PubSub::builder().start().unwrap();
    let made = ask(&pubsub, "PUT", TOPIC, json!({ "labels": { "a": "b" } }));
    let expected = json!({ "name": TOPIC, "labels": { "a": "b" }, "state": "ACTIVE" });
    assert_eq!(made, (200, expected));
    let config = json!({ "topic": TOPIC, "enableMessageOrdering": true });
    assert_eq!(ask(&pubsub, "PUT", SUBSCRIPTION, config).0, 200);
    let message = json!({ "data": "aGk=", "attributes": { "k": "v" }, "orderingKey": "o" });
    let body = json!({ "messages": [message] });
    let (status, published) = ask(&pubsub, "POST", &format!("{TOPIC}:publish"), body);
    assert_eq!(status, 200);
    let pull = || {
        let body = json!({ "maxMessages": 5 });
        let (status, pulled) = ask(&pubsub, "POST", &format!("{SUBSCRIPTION}:pull"), body);
        assert_eq!(status, 200);
        pulled["receivedMessages"][0].clone()
    };
    let received = pull();
    let message = &received["message"];
    assert_eq!(message["data"], "aGk=");
    assert_eq!(
        (&message["attributes"]["k"], &message["orderingKey"]),
        (&json!("v"), &json!("o"))
    );
    assert_eq!(message["messageId"], published["messageIds"][0]);
    assert!(message["publishTime"].as_str().unwrap().ends_with('Z'));
    let modify = |id: &Value, seconds| {
        let body = json!({ "ackIds": [id], "ackDeadlineSeconds": seconds });
        ask(
            &pubsub,
            "POST",
            &format!("{SUBSCRIPTION}:modifyAckDeadline"),
            body,
        )
    };
    assert_eq!(modify(&received["ackId"], 60), (200, json!({})));
    assert_eq!(modify(&received["ackId"], 0), (200, json!({})));
    let received = pull();
    let body = json!({ "ackIds": [received["ackId"]] });
    let acked = ask(
        &pubsub,
        "POST",
        &format!("{SUBSCRIPTION}:acknowledge"),
        body,
    );
    assert_eq!(acked, (200, json!({})));
    assert_eq!((pubsub.counts().acked, pubsub.counts().nacked), (1, 1));
}

#[test]
fn a_project_may_have_a_colon_in_its_name() {
    let pubsub = PubSub::builder().start().unwrap();
    let topic = "projects/example.com:p/topics/tweets";
    let made = ask(&pubsub, "PUT", topic, json!({}));
    assert_eq!(
        (made.0, &made.1["name"]),
        (200, &json!(topic)),
        "{}",
        made.1
    );
    assert_eq!(ask(&pubsub, "GET", topic, Value::Null), made);
    let listed = ask(&pubsub, "GET", "projects/example.com:p/topics", Value::Null);
    assert_eq!(
        (listed.0, &listed.1["topics"][0]["name"]),
        (200, &json!(topic))
    );
    let body = json!({ "messages": [{ "data": "aGk=" }] });
    let published = ask(&pubsub, "POST", &format!("{topic}:publish"), body);
    assert_eq!(published.0, 200, "{}", published.1);
    let none = ask(
        &pubsub,
        "GET",
        "projects/example.com:p/x/tweets",
        Value::Null,
    );
    let message = none.1["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("/v1/projects/example.com:p/x/tweets"),
        "{message}"
    );
}

#[test]
fn refusals_say_what_is_wrong() {
    let pubsub = PubSub::builder().start().unwrap();
    for (method, path, body, status, name, text) in [
        (
            "GET",
            TOPIC,
            Value::Null,
            404,
            "NOT_FOUND",
            "resource=tweets",
        ),
        (
            "GET",
            "projects/p/nothing",
            Value::Null,
            404,
            "NOT_FOUND",
            "nothing",
        ),
        ("POST", TOPIC, Value::Null, 404, "NOT_FOUND", "POST"),
        (
            "PUT",
            TOPIC,
            json!({ "labls": {} }),
            400,
            "INVALID_ARGUMENT",
            "labls",
        ),
        (
            "PUT",
            TOPIC,
            json!({ "labels": 1 }),
            400,
            "INVALID_ARGUMENT",
            "labels",
        ),
        ("PUT", TOPIC, json!([]), 400, "INVALID_ARGUMENT", "JSON"),
        (
            "PUT",
            TOPIC,
            json!({ "kmsKeyName": "x" }),
            501,
            "UNIMPLEMENTED",
            "kmsKeyName",
        ),
        (
            "PUT",
            "projects/p/topics/x",
            json!({}),
            400,
            "INVALID_ARGUMENT",
            "resource name",
        ),
        (
            "PUT",
            SUBSCRIPTION,
            json!({ "topic": TOPIC, "filter": "x" }),
            501,
            "UNIMPLEMENTED",
            "filter",
        ),
        (
            "GET",
            "projects/p/topics?pageSize=x",
            Value::Null,
            400,
            "INVALID_ARGUMENT",
            "page_size",
        ),
    ] {
        let (answered, body) = ask(&pubsub, method, path, body);
        let error = &body["error"];
        assert_eq!(
            (answered, &error["status"]),
            (status, &json!(name)),
            "{path}: {body}"
        );
        assert_eq!(error["code"], status);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(text), "{path}: {message}");
    }
}

#[test]
fn snapshots_are_changed_and_subscriptions_detached() {
    let pubsub = PubSub::builder().start().unwrap();
    assert_eq!(ask(&pubsub, "PUT", TOPIC, json!({})).0, 200);
    let config = json!({ "topic": TOPIC });
    assert_eq!(ask(&pubsub, "PUT", SUBSCRIPTION, config).0, 200);
    let snapshot = "projects/p/snapshots/before";
    let body = json!({ "subscription": SUBSCRIPTION });
    assert_eq!(ask(&pubsub, "PUT", snapshot, body).0, 200);
    let body = json!({ "snapshot": { "labels": { "a": "b" } }, "updateMask": "labels" });
    let (status, changed) = ask(&pubsub, "PATCH", snapshot, body);
    assert_eq!(
        (status, &changed["labels"]["a"]),
        (200, &json!("b")),
        "{changed}"
    );
    let got = ask(&pubsub, "GET", snapshot, Value::Null);
    assert_eq!(got, (200, changed));
    let detach = format!("{SUBSCRIPTION}:detach");
    assert_eq!(ask(&pubsub, "POST", &detach, Value::Null), (200, json!({})));
    let (_, got) = ask(&pubsub, "GET", SUBSCRIPTION, Value::Null);
    assert_eq!(got["detached"], true, "{got}");
}

#[test]
fn what_cannot_be_read_is_counted_too() {
    let pubsub = PubSub::builder().start().unwrap();
    assert_eq!(ask(&pubsub, "PUT", TOPIC, json!({ "labels": 1 })).0, 400);
    let pull = format!("{SUBSCRIPTION}:pull");
    assert_eq!(ask(&pubsub, "POST", &pull, json!({ "max": 1 })).0, 400);
    let counts = pubsub.counts();
    assert_eq!(
        (counts.requests("CreateTopic"), counts.requests("Pull")),
        (1, 1)
    );
}
