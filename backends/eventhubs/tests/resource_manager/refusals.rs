use crate::{
    alone,
    fake::{Canned, Fake, TOKEN, no_parent},
    list,
};
use anyhub_core::{Admin, Error, ErrorKind, Hub, TopicConfig};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_local::eventhubs::EventHubs;
use serde_json::json;

const NAMESPACE: &str =
    "/subscriptions/x/resourceGroups/rg/providers/Microsoft.EventHub/namespaces/localhost";

fn check(error: &Error, kind: ErrorKind, says: &str) {
    let shown = error.to_string();
    assert_eq!(error.kind(), kind, "{shown}");
    assert!(shown.contains(says), "{says}: {shown}");
    assert!(!shown.contains('\n'), "one line: {shown}");
    assert!(!format!("{shown} {error:?}").contains(TOKEN), "{shown}");
}

/// What making an event hub comes to, if this is the answer to its put.
async fn put(fake: &Fake, answer: Canned) -> Error {
    let hub = alone(fake);
    let not_there = Canned::error(404, "NotFound", "There is none.");
    fake.now().first.extend([not_there, answer]);
    let topic = TopicConfig::new("t");
    hub.admin().create_topic(&topic).await.unwrap_err()
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_a_way_out() {
    let fake = Fake::start().await;
    let error = Canned::error;
    let denied = "The client 'x' with object id 'y' does not have authorization to perform action \
                  'Microsoft.EventHub/namespaces/eventhubs/write' over scope 'z'.";
    let quota = "The maximum number of resources of type EventHub has been reached or exceeded. \
                 Actual: 10, Max allowed: 10";
    let conflict = "Namespace update failed with conflict in backend.";
    let days = "The value '30' for MessageRetentionInDays isn't valid for the Basic tier. the value \
                can't exceed '1' day(s).";
    let nowhere = "The namespace 'localhost' doesn't exist.";
    for (answer, kind, says) in [
        (
            error(
                401,
                "ExpiredAuthenticationToken",
                "The access token expiry UTC time is earlier than \r\n current.",
            ),
            ErrorKind::Denied,
            "credential=",
        ),
        (
            error(403, "AuthorizationFailed", denied),
            ErrorKind::Denied,
            "such as Contributor",
        ),
        (
            error(409, "Conflict", quota),
            ErrorKind::Denied,
            "larger tier",
        ),
        (
            error(409, "Conflict", conflict),
            ErrorKind::Unavailable,
            "try again",
        ),
        (
            error(400, "BadRequest", days),
            ErrorKind::Invalid,
            "can't exceed '1' day(s)",
        ),
        (
            error(400, "BadRequest", nowhere),
            ErrorKind::NotFound,
            "no namespace 'localhost' in the resource group 'rg'",
        ),
        (
            error(
                404,
                "ResourceGroupNotFound",
                "Resource group 'rg' could not be found.",
            ),
            ErrorKind::NotFound,
            "resource_group=",
        ),
        (
            no_parent("namespaces/eventhubs", NAMESPACE),
            ErrorKind::NotFound,
            "no namespace 'localhost'",
        ),
        (
            error(418, "Teapot", &"x".repeat(5_000)),
            ErrorKind::Unexpected,
            "xxx...",
        ),
        (
            error(
                409,
                "ScopeLocked",
                "The scope 'z' cannot perform write operation because following scope(s) are locked: 'z'.",
            ),
            ErrorKind::Denied,
            "lifts it",
        ),
        (
            error(
                404,
                "InvalidResourceType",
                "The resource type could not be found.",
            ),
            ErrorKind::Unexpected,
            "InvalidResourceType",
        ),
        (Canned::html(404), ErrorKind::Unexpected, "text/html"),
        (Canned::html(200), ErrorKind::Unexpected, "text/html"),
        (Canned::html(302), ErrorKind::Unexpected, "proxies"),
        (Canned::html(403), ErrorKind::Denied, "text/html"),
    ] {
        check(&put(&fake, answer).await, kind, says);
        assert_eq!(fake.asked().len(), 2, "{says}: it is not tried again");
    }
    // Nor is what somebody else does not know taken for an event hub that is not there.
    fake.now().first.push_back(Canned::html(404));
    let topic = TopicConfig::new("t");
    let error = alone(&fake).admin().create_topic(&topic).await.unwrap_err();
    check(&error, ErrorKind::Unexpected, "not Azure Resource Manager");
    assert_eq!(fake.asked(), ["GET /eventhubs/t"]);
    // Nothing but an array of event hubs is a list.
    for body in [json!({}), json!({ "value": [{ "id": 1 }] }), json!([])] {
        let mut answer = Canned::error(200, "", "");
        answer.body = body.to_string();
        fake.now().first.push_back(answer);
        check(
            &list(&alone(&fake)).await.unwrap_err(),
            ErrorKind::Unexpected,
            "tells no",
        );
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_told_from_an_event_hub_that_is_not() {
    let fake = Fake::start().await;
    let of_namespace = "The Resource 'Microsoft.EventHub/namespaces/localhost' under resource group 'rg' \
                        was not found.";
    for answer in [
        no_parent("namespaces/eventhubs", NAMESPACE),
        Canned::error(404, "ResourceNotFound", of_namespace),
        Canned::error(
            404,
            "SubscriptionNotFound",
            "The subscription could not be found.",
        ),
    ] {
        fake.now().first.push_back(answer.clone());
        let error = list(&alone(&fake)).await.unwrap_err();
        check(&error, ErrorKind::NotFound, "no namespace 'localhost'");
        fake.now().first.push_back(answer);
        let topic = TopicConfig::new("t");
        let error = alone(&fake).admin().create_topic(&topic).await.unwrap_err();
        check(&error, ErrorKind::NotFound, "no namespace 'localhost'");
    }
    assert!(fake.now().hubs.is_empty(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tier_does_not_have_is_unsupported() {
    let stand_in = EventHubs::builder()
        .hub("t", 2)
        .hub("gone", 1)
        .start()
        .unwrap();
    let fake = Fake::start().await;
    let hub =
        |config: EventHubsConfig| EventHubsHub::new(config.endpoint(stand_in.endpoint())).unwrap();
    let hub = hub(crate::config(&fake.url));
    let there = json!({ "partitionCount": 2, "status": "Active" });
    fake.now().hubs.insert("t".into(), there);
    let admin: &dyn Admin = hub.admin();
    let error = admin.set_partitions("t", 4).await.unwrap_err();
    check(&error, ErrorKind::Unsupported, "Premium and Dedicated");
    fake.now().tier = "Basic";
    let group = anyhub_core::ConsumerOptions::new().group("g");
    let error = hub.consumer("t", group.clone()).await.unwrap_err();
    check(&error, ErrorKind::Unsupported, "$Default alone");
    // AMQP still knows it, and Resource Manager doesn't.
    let error = hub.consumer("gone", group).await.unwrap_err();
    check(&error, ErrorKind::NotFound, "no event hub 'gone'");
    let bad = anyhub_core::ConsumerOptions::new().group("no group's name");
    let error = hub.consumer("t", bad).await.unwrap_err();
    check(
        &error,
        ErrorKind::Invalid,
        "can't be a consumer group's name",
    );
}
