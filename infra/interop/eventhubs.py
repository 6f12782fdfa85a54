"""Microsoft's client for Python against the local Event Hubs; ends with status 1 at the first thing that differs."""

import json
import sys
import threading
import time

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectError, ConnectionLostError, EventDataSendError

DEADLINE = 60


def check(what, is_so, seen=""):
    if not is_so:
        sys.exit(f"interop: {what}: {seen}")
    print(f"interop: python: {what}")


def producer(connection_string):
    return EventHubProducerClient.from_connection_string(connection_string, retry_total=0)


def refused(what, error, text, call):
    """The call is refused, with this error and text, and long before a deadline."""
    start = time.monotonic()
    try:
        call()
    except error as refusal:
        took = time.monotonic() - start
        check(what, text in str(refusal) and took < DEADLINE / 2, f"after {took:.1f} s: {refusal}")
    else:
        check(what, False, "it was not refused")


def read(connection_string, count, partition="0", group="$Default", **options):
    """The first `count` events, or the first error."""
    consumer = EventHubConsumerClient.from_connection_string(connection_string, group, retry_total=0)
    events, errors, done = [], [], threading.Event()

    def on_event(_, event):
        events.append(event)
        if len(events) >= count:
            done.set()

    def on_error(_, error):
        errors.append(error)
        done.set()

    def receive():
        consumer.receive(on_event=on_event, on_error=on_error, partition_id=partition, **options)

    thread = threading.Thread(target=receive)
    thread.start()
    in_time = done.wait(DEADLINE)
    consumer.close()
    thread.join(DEADLINE)
    if not in_time:
        sys.exit(f"interop: only {len(events)} of {count} events came")
    return errors[0] if errors else events[:count]


def bodies(events):
    return [event.body_as_str() for event in events]


def main(connection_string):
    client = producer(connection_string)
    hub = client.get_eventhub_properties()
    check("properties", hub["partition_ids"] == ["0", "1", "2", "3"], hub)

    wrote = [f"event {n} ü" for n in range(1_000)]
    batch = client.create_batch(partition_id="0")
    for n, text in enumerate(wrote):
        event = EventData(text)
        event.properties = {"n": n}
        batch.add(event)
    client.send_batch(batch)
    events = read(connection_string, len(wrote), starting_position="-1")
    check("a batch, there and back", bodies(events) == wrote, bodies(events))
    check("its properties", [event.properties[b"n"] for event in events] == list(range(1_000)))
    numbers = [event.sequence_number for event in events]
    check("its sequence numbers", numbers == list(range(1_000)), numbers)

    keyed = client.create_batch(partition_key="key-1")
    keyed.add(EventData("by key"))
    client.send_batch(keyed)
    full = [id for id in "123" if not client.get_partition_properties(id)["is_empty"]]
    where = full[0] if full else "0"
    back = read(connection_string, 1 if full else 1_001, partition=where, starting_position="-1")[-1]
    check("a key", (back.body_as_str(), back.partition_key) == ("by key", b"key-1"), back)

    after = read(connection_string, 1, starting_position=500)
    check("a start after a sequence number", bodies(after) == ["event 501 ü"], bodies(after))
    at = read(connection_string, 1, starting_position=500, starting_position_inclusive=True)
    check("a start at one", bodies(at) == ["event 500 ü"], bodies(at))
    tracked = read(
        connection_string, 1, starting_position="-1", owner_level=1, track_last_enqueued_event_properties=True
    )
    check("an owner level, and where the partition ends", bodies(tracked) == ["event 0 ü"], tracked)

    event = EventData("x" * 1_100_000)
    refused("an event that is too large", EventDataSendError, "", lambda: client.send_event(event))
    elsewhere = producer(connection_string.replace("EntityPath=tweets", "EntityPath=elsewhere"))
    send = [EventData("x")]
    refused("a hub that isn't there", ConnectionLostError, "not-found", lambda: elsewhere.send_batch(send))
    refused("its properties neither", ConnectError, "404", elsewhere.get_eventhub_properties)
    wrong = producer(connection_string.replace("SharedAccessKey=", "SharedAccessKey=not"))
    refused("a wrong key", AuthenticationError, "401", lambda: wrong.send_batch(send))
    nobody = read(connection_string, 1, group="nobody", starting_position="-1")
    check("a group that isn't there", "amqp:not-found" in str(nobody), nobody)
    beyond = read(connection_string, 1, starting_position=99_999)
    check("a start that isn't there", "argument-out-of-range" in str(beyond), beyond)
    client.send_batch(send)
    check("and it goes on", True)


main(json.loads(sys.argv[1])["event_hubs"][0]["connection_string"])
