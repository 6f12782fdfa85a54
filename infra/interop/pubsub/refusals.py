"""What can't be had, each refused in its own words and at once: the client's deadlines are 60 s."""

import time

from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.publisher.exceptions import MessageTooLargeError, PublishToPausedOrderingKeyException
from google.pubsub_v1 import PublisherClient

import receiving
from receiving import DEADLINE, PROJECT, receive, topic_name
from traded import Difference

TOPIC = topic_name("refusals-python")
SUBSCRIPTION = f"{PROJECT}/subscriptions/refusals-python"
#: Nothing of these is there.
ELSEWHERE = topic_name("elsewhere")
NOWHERE = f"{PROJECT}/subscriptions/nowhere"


def check_all():
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    with (
        pubsub_v1.PublisherClient(publisher_options=options) as publisher,
        receiving.subscriber() as subscriber,
    ):
        publisher.create_topic(request={"name": TOPIC})
        subscriber.create_subscription(request={"name": SUBSCRIPTION, "topic": TOPIC, "enable_message_ordering": True})
        cases = publishes(publisher) + makes(publisher, subscriber) + reads(subscriber)
        for case in cases:
            check(*case)
        goes_on(publisher, subscriber)
    print(f"Python: {len(cases)} refusals, and it goes on")


def publishes(client):
    def send(data=b"x", topic=TOPIC, **options):
        return client.publish(topic, data, **options).result(DEADLINE)

    def send_large():
        # By the client underneath: the one above refuses it by itself.
        PublisherClient.publish(client, topic=TOPIC, messages=[{"data": b"x" * 10_000_000}])

    many = {f"{n}": "" for n in range(101)}
    invalid = exceptions.InvalidArgument
    return [
        ("a topic that isn't there", exceptions.NotFound, "no topic", lambda: send(topic=ELSEWHERE)),
        ("an ordering key of 1,001 bytes", invalid, "ordering key is too long", lambda: send(ordering_key="k" * 1_001)),
        (
            "more with that key, by its own client",
            PublishToPausedOrderingKeyException,
            "",
            lambda: send(ordering_key="k" * 1_001),
        ),
        ("101 attributes", invalid, "Too many attributes", lambda: send(**many)),
        ("a name of 257 bytes", invalid, "attribute is too long", lambda: send(**{"n" * 257: ""})),
        ("a value of 1,025 bytes", invalid, "attribute is too long", lambda: send(name="v" * 1_025)),
        ("a name that begins with goog", invalid, "goog", lambda: send(googname="")),
        ("a message of nothing", invalid, "neither data nor attributes", lambda: send(b"")),
        ("a message that is too large", invalid, "payload size exceeds", send_large),
        ("a message that is too large, by its own client", MessageTooLargeError, "", lambda: send(b"x" * 10_000_000)),
    ]


def makes(publisher, subscriber):
    def subscription(**options):
        subscriber.create_subscription(request={"name": NOWHERE, "topic": TOPIC, **options})

    invalid = exceptions.InvalidArgument
    short = {"message_retention_duration": {"seconds": 60}}
    return [
        ("a topic that is there", exceptions.AlreadyExists, "exists", lambda: publisher.create_topic(request={"name": TOPIC})),
        ("a topic of a bad name", invalid, "name", lambda: publisher.create_topic(request={"name": topic_name("1")})),
        ("a topic's retention of a minute", invalid, "retention", lambda: publisher.create_topic(request={"name": ELSEWHERE, **short})),
        ("a subscription that is there", exceptions.AlreadyExists, "exists", lambda: subscription(name=SUBSCRIPTION)),
        ("a subscription to nothing", exceptions.NotFound, "no topic", lambda: subscription(topic=ELSEWHERE)),
        ("an ack deadline of 5 s", invalid, "ack deadline", lambda: subscription(ack_deadline_seconds=5)),
        ("a filter", exceptions.MethodNotImplemented, "filter", lambda: subscription(filter='attributes:"n"')),
    ]


def reads(client):
    def detached():
        name = f"{SUBSCRIPTION}-detached"
        client.create_subscription(request={"name": name, "topic": TOPIC})
        with pubsub_v1.PublisherClient() as publisher:
            publisher.detach_subscription(request={"subscription": name})
        receive(client, name, lambda _: True)

    def ordering():
        changed = {"name": SUBSCRIPTION, "enable_message_ordering": False}
        mask = {"paths": ["enable_message_ordering"]}
        client.update_subscription(request={"subscription": changed, "update_mask": mask})

    invalid = exceptions.InvalidArgument
    ack = {"subscription": SUBSCRIPTION, "ack_ids": ["none"]}
    snapshot = {"subscription": SUBSCRIPTION, "snapshot": f"{PROJECT}/snapshots/none"}
    return [
        ("a subscription that isn't there", exceptions.NotFound, "no subscription", lambda: receive(client, NOWHERE, None)),
        ("a subscription that is detached", exceptions.FailedPrecondition, "detached", detached),
        ("a subscription without its order", invalid, "enable_message_ordering", ordering),
        ("an ack id that is none", invalid, "invalid ack ID", lambda: client.acknowledge(request=ack)),
        ("a snapshot that isn't there", exceptions.NotFound, "no snapshot", lambda: client.seek(request=snapshot)),
    ]


def check(what, error, says, call):
    start = time.monotonic()
    try:
        call()
    except error as refusal:
        took = time.monotonic() - start
        if says not in str(refusal):
            raise Difference(f"{what}: refused in other words: {refusal!r}") from refusal
        if took > DEADLINE / 2:
            raise Difference(f"{what}: refused after {took:.1f} s only: {refusal}") from refusal
        print(f"Python was refused {what}: {type(refusal).__name__}, {took * 1_000:.0f} ms")
    except Exception as refusal:
        raise Difference(f"{what}: refused otherwise: {refusal!r}") from refusal
    else:
        raise Difference(f"{what}: not refused")


def goes_on(publisher, subscriber):
    """A key that was refused is sent again once it is resumed, and nothing that was refused is there."""
    key = "k" * 1_000
    publisher.resume_publish(TOPIC, "k" * 1_001)
    publisher.publish(TOPIC, b"good", ordering_key=key).result(DEADLINE)
    found = []

    def take(message):
        found.append((message.data, message.ordering_key))
        message.ack()
        return True

    receive(subscriber, SUBSCRIPTION, take)
    if found != [(b"good", key)]:
        raise Difference(f"something that was refused is there: {found}")
    receiving.check_nothing_left(subscriber, SUBSCRIPTION)
