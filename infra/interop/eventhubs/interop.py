"""Microsoft's client for Python against the local Event Hubs.

    interop.py publish CONNECTION_STRING FOLDER SEED   sends events, reads them back, writes what a reader must find
    interop.py read CONNECTION_STRING FOLDER           reads what another program has sent, and compares
    interop.py refusals CONNECTION_STRING              asks for what can't be had

Ends with status 1 at the first thing that differs. ../README.md says what the files hold.
"""

import concurrent.futures
import datetime
import logging
import pathlib
import sys
import threading
import time

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

import events
import refusals
import traded

#: For what has to come; nothing waits for as long where all is well.
DEADLINE = 60
EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def main():
    command, connection_string, *rest = sys.argv[1:]
    # What goes wrong is told by what is raised.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    if command == "publish":
        publish(connection_string, pathlib.Path(rest[0]), int(rest[1]))
    elif command == "read":
        verify(connection_string, pathlib.Path(rest[0]))
    else:
        refusals.check_all(connection_string, receive)


def publish(connection_string, folder, seed):
    made = events.make(seed)
    start = time.monotonic()
    with producer(connection_string) as client:
        sends = send_all(client, made, seed)
    took = time.monotonic() - start
    expected = [one.event() for one in made]
    print(f"Python sent {len(made):,} events in {sends:,} messages, {took:.1f} s (seed {seed})")
    partitions = read_all(connection_string)
    places = events.compare(expected, partitions)
    traded.write_events(folder / "events", expected)
    traded.write_lines(folder / "marks", events.marks(seed, partitions, places))


def send_all(client, made, seed):
    """Sends runs of one key, each in one of the ways that there are."""
    sends, at = 0, 0
    while at < len(made):
        key = made[at].key
        end = at
        while end < len(made) and made[end].key == key:
            end += 1
        run = [message(one) for one in made[at:end]]
        options = {} if key is None else {"partition_key": key}
        if len(run) == 1:
            client.send_event(run[0], **options)
            sends += 1
        elif (seed + at) % 3 == 0 and sum(len(one.body) for one in made[at:end]) < 500_000:
            client.send_batch(run, **options)
            sends += 1
        else:
            sends += send_batches(client, run, options)
        at = end
    return sends


def send_batches(client, run, options):
    sends, batch = 0, client.create_batch(**options)
    for one in run:
        try:
            batch.add(one)
        except ValueError:
            client.send_batch(batch)
            sends, batch = sends + 1, client.create_batch(**options)
            batch.add(one)
    client.send_batch(batch)
    return sends + 1


def message(made):
    if made.form == "value":
        properties = dict(made.properties)
        return AmqpAnnotatedMessage(value_body=made.body.decode(), application_properties=properties, annotations={})
    body = made.body
    if made.form == "text":
        body = body.decode()
    elif made.form == "sections":
        body = [body[: len(body) // 2], body[len(body) // 2 :]]
    event = EventData(body)
    event.properties = dict(made.properties)
    return event


def verify(connection_string, folder):
    expected = traded.read_events(folder / "events")
    start = time.monotonic()
    partitions = read_all(connection_string)
    took = time.monotonic() - start
    places = events.compare(expected, partitions)
    keys = len({event.key for event in expected} - {None})
    where = f"{len(partitions)} partitions"
    print(f"Python read {len(expected):,} events of {keys} keys in {where}, all as they were sent, {took:.1f} s")
    marks = traded.read_lines(folder / "marks")
    # A partition lets five readers in.
    with concurrent.futures.ThreadPoolExecutor(5) as readers:
        list(readers.map(lambda mark: begins(connection_string, partitions, places, mark), marks))
    print(f"Python began at {len(marks)} sequence numbers and {len(marks)} times, each inclusive and exclusive")


def begins(connection_string, partitions, places, mark):
    """What the mark's writer saw is what we see, and readers that begin there get it first."""
    log, sequence, time = partitions[mark["partition"]], mark["sequence"], mark["time"]
    if (places[mark["partition"]][sequence], log[sequence].time) != (mark["nth"], time):
        raise traded.Difference(f"another event or time than the writer's: {mark}: {log[sequence]}")
    moment = EPOCH + datetime.timedelta(milliseconds=time)
    begins_with(connection_string, log, sequence, sequence, inclusive=True)
    begins_with(connection_string, log, sequence + 1, sequence, inclusive=False)
    begins_with(connection_string, log, sum(one.time < time for one in log), moment, inclusive=True)
    begins_with(connection_string, log, sum(one.time <= time for one in log), moment, inclusive=False)


def begins_with(connection_string, log, sequence, start, inclusive):
    """A reader that starts there gets this event first."""
    if sequence == len(log):
        return
    options = {"starting_position": start, "starting_position_inclusive": inclusive}
    found = receive(connection_string, log[0].partition, 1, **options)
    if isinstance(found, Exception):
        raise found
    if found[0] != log[sequence]:
        raise traded.Difference(f"began {options} at {found[0].sequence} instead of {sequence}")


def read_all(connection_string):
    """All events of each partition; each partition is read to its end."""
    with producer(connection_string) as client:
        ids = client.get_partition_ids()
        lasts = [client.get_partition_properties(id)["last_enqueued_sequence_number"] for id in ids]
    partitions = []
    for id, last in zip(ids, lasts):
        found = receive(connection_string, id, last + 1, starting_position="-1") if last >= 0 else []
        if isinstance(found, Exception):
            raise found
        partitions.append(found)
    return partitions


def receive(connection_string, partition, count, group="$Default", **options):
    """The first `count` events, or the error that comes instead."""
    client = EventHubConsumerClient.from_connection_string(connection_string, group, retry_total=0)
    came, errors, done = [], [], threading.Event()

    def on_event(_, event):
        came.append(event)
        if len(came) >= count:
            done.set()

    def on_error(_, error):
        errors.append(error)
        done.set()

    def run():
        client.receive(on_event=on_event, on_error=on_error, partition_id=str(partition), **options)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    in_time = done.wait(DEADLINE)
    client.close()
    thread.join(DEADLINE)
    if errors:
        return errors[0]
    if not in_time:
        raise traded.Difference(f"only {len(came)} of {count} events came of partition {partition}")
    return [found(int(partition), event) for event in came[:count]]


def found(partition, event):
    key = event.partition_key
    headers = tuple((text(name), bytes_of(value)) for name, value in (event.properties or {}).items())
    moment = (event.enqueued_time - EPOCH) // datetime.timedelta(milliseconds=1)
    # Of data sections there may be several; a value of no text is not sent at all.
    body = event.body
    body = b"".join(body) if event.body_type == AmqpMessageBodyType.DATA and body is not None else bytes_of(body)
    seen = traded.Event(None if key is None else text(key), body, headers)
    return events.Found(partition, event.sequence_number, moment, seen)


def text(name):
    return name.decode() if isinstance(name, bytes) else name


def bytes_of(value):
    return value if isinstance(value, bytes) else events.text(value)


def producer(connection_string):
    return EventHubProducerClient.from_connection_string(connection_string, retry_total=0)


if __name__ == "__main__":
    try:
        main()
    except traded.Difference as difference:
        sys.exit(f"interop: Python: {difference}")
