"""Subscriptions of our own, and what they deliver."""

import contextlib
import datetime
import os
import threading

import grpc
from google.cloud import pubsub_v1
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from events import event
from traded import Difference

PROJECT = "projects/local"
#: For what has to come next; nothing waits for as long where all is well.
DEADLINE = 60
EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


@contextlib.contextmanager
def subscription(topic, what, **options):
    """A client, and a new subscription to all that the topic keeps; it is deleted in the end."""
    name = f"{PROJECT}/subscriptions/{topic}-python-{what}"
    with subscriber() as client:
        request = {"name": name, "topic": topic_name(topic), "enable_message_ordering": True, **options}
        client.create_subscription(request=request)
        client.seek(request={"subscription": name, "time": EPOCH})
        yield client, name
        client.delete_subscription(request={"subscription": name})


def subscriber():
    """With a channel as the client has one to Google's: its own to an emulator takes messages of 4 MiB at most."""
    options = [("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"], options=options)
    return pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def topic_name(topic):
    return f"{PROJECT}/topics/{topic}"


def receive(client, name, take):
    """Gives each message to `take`, which acknowledges it and says whether that was the last one."""
    over, lock, errors, count = threading.Event(), threading.Lock(), [], [0]

    def callback(message):
        with lock:
            if over.is_set():
                message.nack()
                return
            count[0] += 1
            try:
                if take(message):
                    over.set()
            except Exception as error:
                errors.append(error)
                over.set()

    future = client.subscribe(name, callback=callback, await_callbacks_on_shutdown=True)
    future.add_done_callback(lambda _: over.set())
    seen = -1
    while not over.wait(DEADLINE):
        if seen == count[0]:
            future.cancel()
            raise Difference(f"nothing comes any more after {seen} messages")
        seen = count[0]
    future.cancel()
    # What ended it, if that was not us; else it is over once all acks are out.
    future.result(DEADLINE)
    if errors:
        raise errors[0]


def read(client, name, count):
    """So many messages, all acknowledged: each event and its time, in the order in which they came."""
    found = []

    def take(message):
        found.append((found_event(message), micros(message.publish_time)))
        message.ack()
        return len(found) == count

    if count:
        receive(client, name, take)
    check_nothing_left(client, name)
    return found


def check_nothing_left(client, name):
    """Nothing is unacknowledged: a snapshot has what is outstanding too, and a seek to it makes that come again."""
    snapshot = name.replace("/subscriptions/", "/snapshots/")
    client.create_snapshot(request={"name": snapshot, "subscription": name})
    client.seek(request={"subscription": name, "snapshot": snapshot})
    client.delete_snapshot(request={"snapshot": snapshot})
    left = client.pull(request={"subscription": name, "max_messages": 10}).received_messages
    if left:
        raise Difference(f"not acknowledged, or more than there should be: {found_event(left[0].message)}")


def found_event(message):
    return event(message.ordering_key, message.data, dict(message.attributes))


def micros(time):
    """Microseconds since 1970."""
    return (time - EPOCH) // datetime.timedelta(microseconds=1)


def moment(micros):
    return EPOCH + datetime.timedelta(microseconds=micros)
