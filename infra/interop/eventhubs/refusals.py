"""What can't be had, each refused in its own words and at once: the client's deadlines are 60 s."""

import time

from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectError, ConnectionLostError, EventDataSendError

from traded import Difference

DEADLINE = 60


def check_all(connection_string, receive):
    """`connection_string` is of the hub `refusals`; `receive` is interop.py's."""
    here = connection_string
    elsewhere = here.replace("EntityPath=refusals", "EntityPath=elsewhere")
    wrong = here.replace("SharedAccessKey=", "SharedAccessKey=not")
    key = {"partition_key": "k" * 129}
    cases = [
        ("a wrong key, sending", AuthenticationError, "401", lambda: send(wrong)),
        ("a wrong key, reading", AuthenticationError, "401", lambda: raised(receive(wrong, 0, 1, starting_position="-1"))),
        ("a hub that isn't there, sending", ConnectionLostError, "amqp:not-found", lambda: send(elsewhere)),
        ("a hub that isn't there, its properties", ConnectError, "404", lambda: properties(elsewhere)),
        (
            "a hub that isn't there, reading",
            Exception,
            "404",
            lambda: raised(receive(elsewhere, 0, 1, starting_position="-1")),
        ),
        (
            "a group that isn't there",
            Exception,
            "amqp:not-found",
            lambda: raised(receive(here, 0, 1, group="nobody", starting_position="-1")),
        ),
        # It tries again on the link that the first answer has closed, which hides what that answer said.
        ("an event that is too large", EventDataSendError, "unknown-error", lambda: send_large(here)),
        ("an event that is too large, by its own client", ValueError, "size limit", lambda: send(here, "x" * 1_100_000)),
        ("a key of 129 characters", Exception, "129 characters", lambda: send(here, "x", **key)),
        (
            "a start beyond the end",
            Exception,
            "argument-out-of-range",
            lambda: raised(receive(here, 0, 1, starting_position=99_999)),
        ),
    ]
    for what, error, says, call in cases:
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
        else:
            raise Difference(f"{what}: not refused")
    send(here)
    print(f"Python: {len(cases)} refusals, and it goes on")


def send(connection_string, body="x", **options):
    with producer(connection_string) as client:
        # Not send_event, which asks for the hub's properties first.
        client.send_batch([EventData(body)], **options)


def send_large(connection_string):
    with producer(connection_string) as client:
        client.send_event(EventData("x" * 1_100_000))


def properties(connection_string):
    with producer(connection_string) as client:
        client.get_eventhub_properties()


def producer(connection_string):
    return EventHubProducerClient.from_connection_string(connection_string, retry_total=0)


def raised(answer):
    if isinstance(answer, Exception):
        raise answer
