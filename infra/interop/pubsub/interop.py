"""Google's client for Python against the local Pub/Sub, which PUBSUB_EMULATOR_HOST names.

    interop.py publish TOPIC FOLDER SEED      makes the topic, sends events, reads them back, writes what a reader must find
    interop.py read TOPIC FOLDER              reads what another program has sent, and compares
    interop.py seek TOPIC FOLDER              the same from times on, ahead and back
    interop.py nack TOPIC FOLDER              the same, and nacks some
    interop.py exactly-once TOPIC FOLDER      the same, each ack confirmed; and acks that can't be
    interop.py refusals                       asks for what can't be had

Ends with status 1 at the first thing that differs. ../README.md says what the files hold.
"""

import datetime
import logging
import pathlib
import sys
import time

from google.cloud import pubsub_v1

import events
import exactly_once
import receiving
import refusals
import traded

#: What a topic keeps, so that it can be read from the beginning.
RETENTION = datetime.timedelta(hours=1)
#: One of so many is nacked.
NACKED = 50


def main():
    command, *rest = sys.argv[1:]
    # What goes wrong is told by what is raised.
    logging.disable()
    if command == "refusals":
        refusals.check_all()
        return
    topic, folder = rest[0], pathlib.Path(rest[1])
    if command == "publish":
        publish(topic, folder, int(rest[2]))
        return
    expected = traded.read_events(folder / "events")
    times = [mark["time"] for mark in traded.read_lines(folder / "marks")]
    commands = {"read": read, "seek": seek, "nack": nack, "exactly-once": exactly_once.check}
    commands[command](topic, expected, times)


def publish(topic, folder, seed):
    made = events.make(seed)
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    start = time.monotonic()
    with pubsub_v1.PublisherClient(publisher_options=options) as client:
        name = receiving.topic_name(topic)
        client.create_topic(request={"name": name, "message_retention_duration": RETENTION})
        sends = [send(client, name, one) for one in made]
        for sent in sends:
            sent.result(receiving.DEADLINE)
    print(f"Python sent {len(made):,} events, {time.monotonic() - start:.1f} s (seed {seed})")
    with receiving.subscription(topic, "publish") as (client, name):
        found = receiving.read(client, name, len(made))
    traded.write_events(folder / "events", made)
    times = compare(made, range(len(made)), found)
    traded.write_lines(folder / "marks", ({"time": times[nth]} for nth in range(len(made))))


def send(client, name, event):
    attributes = {name: value.decode() for name, value in event.headers}
    return client.publish(name, event.body, ordering_key=event.key or "", **attributes)


def compare(expected, nths, found):
    """The time of each event. Raises `Difference` at the first that is not as it should be: all of `nths`, and no others."""
    left, times = traded.Left([expected[nth] for nth in nths]), {}
    for place, (event, time) in enumerate(found):
        times[nths[left.take(event, f"event {place}")]] = time
    left.check_none()
    return times


def read(topic, expected, times):
    start = time.monotonic()
    with receiving.subscription(topic, "read") as (client, name):
        found = receiving.read(client, name, len(expected))
    took = time.monotonic() - start
    for nth, at in compare(expected, range(len(expected)), found).items():
        if at != times[nth]:
            raise traded.Difference(f"published at {at} and not at {times[nth]}: {expected[nth]}")
    keys = len({event.key for event in expected} - {None})
    print(f"Python read {len(expected):,} events of {keys} keys, all as they were sent, {took:.1f} s")


def seek(topic, expected, times):
    """To two thirds of the topic, back to its first event, to its last one, and behind that."""
    known = sorted(times)
    with receiving.subscription(topic, "seek") as (client, name):
        for at in [known[len(known) * 2 // 3], known[0], known[-1], known[-1] + 1]:
            nths = [nth for nth, time in enumerate(times) if time >= at]
            client.seek(request={"subscription": name, "time": receiving.moment(at)})
            compare(expected, nths, receiving.read(client, name, len(nths)))
            print(f"Python sought {at}, and {len(nths):,} events came")


def nack(topic, expected, times):
    again = events.Again(expected, range(0, len(expected), NACKED))

    def take(message):
        if again.take(receiving.found_event(message), message.message_id):
            message.nack()
        else:
            message.ack()
        return again.is_over()

    with receiving.subscription(topic, "nack") as (client, name):
        receiving.receive(client, name, take)
        receiving.check_nothing_left(client, name)
    print(f"Python nacked {len(again.nacked)} of {len(expected):,} events: {again.deliveries:,} deliveries, in order from there on")


if __name__ == "__main__":
    try:
        main()
    except traded.Difference as difference:
        sys.exit(f"interop: Python: {difference}")
