use crate::{
    config, event,
    front::{Answer, front},
    hub, server, told, within,
};
use anyhub_core::{
    ConsumerOptions, Error, ErrorKind, Hub, Point, ProducerExt, ProducerOptions, TopicConfig,
};
use anyhub_pubsub::{NativeHub, PubSubConfig, PubSubHub};
use std::time::Duration;
use tonic::Status;

/// What whoever uses this topic is told, each in a way of its own.
async fn refusals(config: PubSubConfig, topic: &str) -> Vec<Error> {
    let hub = PubSubHub::new(config).unwrap();
    let told = vec![
        within(hub.producer(topic, ProducerOptions::new()))
            .await
            .unwrap_err(),
        within(hub.consumer(topic, ConsumerOptions::new()))
            .await
            .unwrap_err(),
        within(hub.consumer(topic, ConsumerOptions::new().group("score")))
            .await
            .unwrap_err(),
        within(hub.admin().describe_topic(topic)).await.unwrap_err(),
    ];
    within(hub.close()).await.unwrap();
    told
}

#[test]
fn no_project() {
    let url = "pubsub:/tweets".parse().unwrap();
    told(
        &PubSubHub::from_url(&url).unwrap_err(),
        ErrorKind::Config,
        "no project",
    );
}

#[test]
fn a_wrong_scheme_of_the_endpoint() {
    for endpoint in [
        "ftp://127.0.0.1:8085",
        "127.0.0.1:8085",
        "grpc://127.0.0.1:8085",
    ] {
        let hub = PubSubHub::new(PubSubConfig::new("p").endpoint(endpoint));
        told(&hub.unwrap_err(), ErrorKind::Config, "endpoint");
    }
    let clear = PubSubHub::new(PubSubConfig::new("p").endpoint("http://pubsub.googleapis.com"));
    told(&clear.unwrap_err(), ErrorKind::Config, "in the clear");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_there() {
    let server = server();
    for name in ["nowhere", "no name at all!", "ab", "../tweets", ""] {
        for error in refusals(config(&server), name).await {
            told(&error, ErrorKind::NotFound, &format!("'{name}'"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_by_its_full_name() {
    let server = server();
    for (project, topic) in [
        ("projects", "local/topics/tweets"),
        ("local", "projects/local/topics/tweets"),
    ] {
        let config = PubSubConfig::new(project).endpoint(server.endpoint());
        for error in refusals(config, topic).await {
            told(&error, ErrorKind::NotFound, "pubsub://local/tweets");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_there_already() {
    let server = server();
    let hub = hub(&server).await;
    let again = TopicConfig::new("tweets");
    let error = within(hub.admin().create_topic(&again)).await.unwrap_err();
    told(&error, ErrorKind::AlreadyExists, "already exists");
    let line = error.to_string();
    assert_eq!(line.matches("AlreadyExists").count(), 1, "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there() {
    let gone = server();
    let config = config(&gone);
    gone.stop();
    for error in refusals(config, "tweets").await {
        told(&error, ErrorKind::Unavailable, "can't be reached");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_can_be_no_subscription() {
    let server = server();
    let hub = hub(&server).await;
    for group in ["a", "1st", "goog-group", "two words"] {
        let options = ConsumerOptions::new().group(group);
        let error = within(hub.consumer("tweets", options)).await.unwrap_err();
        told(&error, ErrorKind::Invalid, &format!("'{group}'"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_of_others_that_cannot_be_read() {
    let server = server();
    let hub = hub(&server).await;
    within(hub.admin().create_topic(&TopicConfig::new("other")))
        .await
        .unwrap();
    let native: &NativeHub = hub.native().downcast_ref().unwrap();
    let admin = within(native.subscription_admin()).await.unwrap();
    let name = |id: &str| format!("projects/local/subscriptions/{id}");
    let topic = |id: &str| format!("projects/local/topics/{id}");
    let made = [
        ("unordered", "tweets", false),
        ("of-another", "other", true),
        ("orphan", "other", true),
    ];
    for (id, of, ordered) in made {
        let making = admin
            .create_subscription()
            .set_name(name(id))
            .set_topic(topic(of));
        within(making.set_enable_message_ordering(ordered).send())
            .await
            .unwrap();
    }
    let refused = async |group: &'static str| {
        let opened = hub.consumer("tweets", ConsumerOptions::new().group(group));
        within(opened).await.unwrap_err()
    };
    told(
        &refused("unordered").await,
        ErrorKind::Invalid,
        "does not keep the order of keys",
    );
    told(
        &refused("of-another").await,
        ErrorKind::Invalid,
        "of another topic",
    );
    let options = ConsumerOptions::new().group("of-another");
    let nowhere = within(hub.consumer("nowhere", options)).await.unwrap_err();
    told(&nowhere, ErrorKind::NotFound, "'nowhere'");
    within(hub.admin().delete_topic("other")).await.unwrap();
    told(&refused("orphan").await, ErrorKind::Invalid, "was deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_keeps_nothing_has_no_beginning() {
    let server = server();
    let hub = hub(&server).await;
    let native: &NativeHub = hub.native().downcast_ref().unwrap();
    let admin = within(native.topic_admin()).await.unwrap();
    let made = admin
        .create_topic()
        .set_name("projects/local/topics/brief")
        .send();
    within(made).await.unwrap();
    for options in [
        ConsumerOptions::new(),
        ConsumerOptions::new().group("score"),
    ] {
        let error = within(hub.consumer("brief", options.clone()))
            .await
            .unwrap_err();
        told(&error, ErrorKind::Unsupported, "keeps no messages");
        let at_end = options.start(Point::End);
        let mut consumer = within(hub.consumer("brief", at_end)).await.unwrap();
        let error = within(consumer.seek(Point::Start)).await.unwrap_err();
        told(&error, ErrorKind::Unsupported, "keeps no messages");
        within(consumer.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_deleted_under_us() {
    let server = server();
    let hub = hub(&server).await;
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer("tweets", options.clone()))
        .await
        .unwrap();
    let producer = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap();
    within(producer.send(event("0"))).await.unwrap();
    let mut tokens = Vec::new();
    while tokens.is_empty() {
        tokens = within(consumer.receive(1)).await.unwrap().tokens();
    }
    let native: &NativeHub = hub.native().downcast_ref().unwrap();
    let admin = within(native.subscription_admin()).await.unwrap();
    let deleted = admin
        .delete_subscription()
        .set_subscription("projects/local/subscriptions/score");
    within(deleted.send()).await.unwrap();
    let error = within(async {
        loop {
            if let Err(error) = consumer.receive(1).await {
                return error;
            }
        }
    });
    told(&error.await, ErrorKind::NotFound, "'score'");
    let error = within(consumer.receive(1)).await.unwrap_err();
    told(&error, ErrorKind::NotFound, "'score'");
    assert_eq!(consumer.acks().ack(&tokens), 1);
    told(
        &within(consumer.commit()).await.unwrap_err(),
        ErrorKind::NotFound,
        "'score'",
    );
    let _ = within(consumer.close()).await;
    // Another one makes it again.
    let mut again = within(hub.consumer("tweets", options)).await.unwrap();
    let mut came = Vec::new();
    while came.is_empty() {
        came = within(again.receive(1)).await.unwrap().deliveries;
    }
    assert_eq!(came[0].event, event("0"));
    within(again.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_under_us() {
    let server = server();
    let hub = hub(&server).await;
    let options = ProducerOptions::new().deadline(Duration::from_secs(30));
    let producer = within(hub.producer("tweets", options)).await.unwrap();
    within(producer.send(event("0"))).await.unwrap();
    within(hub.admin().delete_topic("tweets")).await.unwrap();
    let error = within(producer.send(event("1"))).await.unwrap_err();
    told(&error, ErrorKind::NotFound, "'tweets'");
    assert!(!error.is_indeterminate(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_under_its_consumers() {
    let server = server();
    let hub = hub(&server).await;
    let mut consumers = Vec::new();
    for options in [
        ConsumerOptions::new().group("score"),
        ConsumerOptions::new(),
    ] {
        consumers.push(within(hub.consumer("tweets", options)).await.unwrap());
    }
    within(hub.admin().delete_topic("tweets")).await.unwrap();
    // One of that name is not the same.
    within(hub.admin().create_topic(&TopicConfig::new("tweets")))
        .await
        .unwrap();
    for mut consumer in consumers {
        let error = within(consumer.seek(Point::Start)).await.unwrap_err();
        told(&error, ErrorKind::NotFound, "was deleted");
        let error = within(async {
            loop {
                if let Err(error) = consumer.receive(1).await {
                    return error;
                }
            }
        });
        told(&error.await, ErrorKind::NotFound, "was deleted");
        let error = within(consumer.seek(Point::Start)).await.unwrap_err();
        told(&error, ErrorKind::NotFound, "was deleted");
        within(consumer.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_detached_under_us() {
    let server = server();
    let hub = hub(&server).await;
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
    let native: &NativeHub = hub.native().downcast_ref().unwrap();
    let admin = within(native.topic_admin()).await.unwrap();
    let detached = admin
        .detach_subscription()
        .set_subscription("projects/local/subscriptions/score");
    within(detached.send()).await.unwrap();
    let error = within(consumer.seek(Point::Start)).await.unwrap_err();
    told(&error, ErrorKind::Invalid, "is detached");
    let error = within(async {
        loop {
            if let Err(error) = consumer.receive(1).await {
                return error;
            }
        }
    });
    told(&error.await, ErrorKind::Invalid, "is detached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_of_another_project_is_no_group() {
    let server = server();
    let hub = hub(&server).await;
    let native: &NativeHub = hub.native().downcast_ref().unwrap();
    let admin = within(native.subscription_admin()).await.unwrap();
    let theirs = "projects/other/subscriptions/score";
    let making = admin
        .create_subscription()
        .set_name(theirs)
        .set_topic("projects/local/topics/tweets");
    within(making.send()).await.unwrap();
    let groups = within(hub.admin().list_groups("tweets")).await.unwrap();
    assert!(groups.is_empty(), "{groups:?}");
    let error = within(hub.admin().delete_group("score")).await.unwrap_err();
    told(&error, ErrorKind::NotFound, "'score'");
    within(admin.get_subscription().set_subscription(theirs).send())
        .await
        .unwrap();
}

/// A private reader that could not be opened leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_reader_that_cannot_be_brought_to_its_start() {
    let server = server();
    let owner = hub(&server).await;
    let rule = |method: &str| match method {
        "Seek" => Answer::Refused(Status::permission_denied("User not authorized.")),
        _ => Answer::Its,
    };
    let endpoint = front(server.endpoint(), rule, |_, _| ()).await;
    let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint)).unwrap();
    let options = ConsumerOptions::new().start(Point::Start);
    let error = within(hub.consumer("tweets", options)).await.unwrap_err();
    told(&error, ErrorKind::Denied, "not authorized");
    assert_eq!(server.counts().requests("CreateSubscription"), 1);
    let native: &NativeHub = owner.native().downcast_ref().unwrap();
    let admin = within(native.subscription_admin()).await.unwrap();
    within(async {
        loop {
            let listing = admin.list_subscriptions().set_project("projects/local");
            if listing.send().await.unwrap().subscriptions.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A hub outlives the runtime on which it was asked first.
#[test]
fn a_hub_is_asked_on_one_runtime_after_the_other() {
    let server = server();
    let ask = |hub: Option<PubSubHub>| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let hub = match hub {
                Some(hub) => hub,
                None => super::hub(&server).await,
            };
            let topics = within(hub.admin().list_topics()).await.unwrap();
            assert_eq!(topics, ["tweets"]);
            hub
        })
    };
    let hub = ask(None);
    ask(Some(hub));
}
