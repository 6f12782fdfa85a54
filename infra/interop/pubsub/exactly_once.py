"""Acks that are confirmed, and those that can't be."""

import datetime

from google.api_core import exceptions
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeError, AcknowledgeStatus

import receiving
import traded

INVALID = "PERMANENT_FAILURE_INVALID_ACK_ID"
UNORDERED = "TRANSIENT_FAILURE_UNORDERED_ACK_ID"


def check(topic, expected, _times):
    left, acks = traded.Left(expected), []

    def take(message):
        left.take(receiving.found_event(message), f"message {message.message_id}")
        acks.append(message.ack_with_response())
        return not left.count

    with subscription(topic, "exactly-once") as (client, name):
        receiving.receive(client, name, take)
        for ack in acks:
            if ack.result(receiving.DEADLINE) != AcknowledgeStatus.SUCCESS:
                raise traded.Difference(f"an ack is {ack.result()}")
        receiving.check_nothing_left(client, name)
    print(f"Python read {len(acks):,} events exactly once, each ack confirmed")
    with subscription(topic, "failures") as (client, name):
        check_failures(client, name)
    with subscription(topic, "void") as (client, name):
        check_void(client, name)


def subscription(topic, what):
    return receiving.subscription(topic, what, enable_exactly_once_delivery=True)


def check_failures(client, name):
    """By single requests: out of order, twice, after a nack."""
    first, second = two_of_a_key(client, name)
    acked = {"subscription": name, "ack_ids": [second.ack_id]}
    refused("an ack out of order", UNORDERED, second, lambda: client.acknowledge(request=acked))
    client.acknowledge(request={"subscription": name, "ack_ids": [first.ack_id]})
    acked = {"subscription": name, "ack_ids": [first.ack_id]}
    refused("an ack twice", INVALID, first, lambda: client.acknowledge(request=acked))
    nack = {"subscription": name, "ack_ids": [second.ack_id], "ack_deadline_seconds": 0}
    client.modify_ack_deadline(request=nack)
    refused("a second nack", INVALID, second, lambda: client.modify_ack_deadline(request=nack))
    acked = {"subscription": name, "ack_ids": [second.ack_id]}
    refused("an ack after a nack", INVALID, second, lambda: client.acknowledge(request=acked))


def two_of_a_key(client, name):
    """The first two of a key, delivered and not acknowledged."""
    firsts = {}
    while True:
        pulled = client.pull(request={"subscription": name, "max_messages": 1_000}).received_messages
        if not pulled:
            raise traded.Difference("no two events of a key came")
        for message in pulled:
            key = message.message.ordering_key
            if key and key in firsts:
                return firsts[key], message
            firsts[key] = message


def refused(what, failure, message, call):
    try:
        call()
    except exceptions.FailedPrecondition as error:
        if error.reason != "EXACTLY_ONCE_ACKID_FAILURE" or error.metadata != {message.ack_id: failure}:
            raise traded.Difference(f"{what}: refused with {error.reason}, {error.metadata}") from error
        print(f"Python was refused {what}: {failure}")
    else:
        raise traded.Difference(f"{what}: not refused")


def check_void(client, name):
    """The client's own word for an ack that a seek has made void."""
    acks = []

    def take(message):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
        client.seek(request={"subscription": name, "time": end})
        acks.append(message.ack_with_response())
        return True

    receiving.receive(client, name, take)
    try:
        acks[0].result(receiving.DEADLINE)
    except AcknowledgeError as error:
        if error.error_code != AcknowledgeStatus.INVALID_ACK_ID:
            raise traded.Difference(f"an ack after a seek: {error.error_code}") from error
        print("Python was refused an ack after a seek: INVALID_ACK_ID")
    else:
        raise traded.Difference("an ack after a seek: not refused")
