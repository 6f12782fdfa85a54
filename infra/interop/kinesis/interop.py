"""PyPI's side of `make interop`, on aws_kinesis_agg; README.md says what the files hold."""

import base64
import pathlib
import random
import struct
import sys

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

EVENTS = 10_000
FULL = bytes(16) + b"\xff" * 16


def main():
    command, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if command == "write":
        write(folder, int(sys.argv[3]))
    elif not read(folder):
        sys.exit(1)


def read(folder):
    # It knows no filter, and takes a message without its required fields.
    records = list(read_capture(folder / "whole.capture"))
    expected = list(read_events(folder / "whole.events"))
    found = [event for nth, record in enumerate(records) for event in deaggregate(nth, record)]
    pairs = range(max(len(found), len(expected)))
    differs = next((n for n in pairs if found[n : n + 1] != expected[n : n + 1]), None)
    if differs is None:
        print(f"Python read whole: {len(found)} events of {len(records)} records, all as expected")
        return True
    print(
        f"Python read whole: event {differs} of {len(found)} (expected {len(expected)}) differs:\n"
        f"  found    {shown(found[differs : differs + 1])}\n"
        f"  expected {shown(expected[differs : differs + 1])}",
        file=sys.stderr,
    )
    return False


def shown(events):
    return [(*event[:4], f"{len(event[4])} bytes") for event in events]


def deaggregate(nth, record):
    key, data = record
    raw = {
        "SequenceNumber": str(nth),
        "PartitionKey": key,
        "ApproximateArrivalTimestamp": 0,
        "Data": data,
    }
    for found in iter_deaggregate_records([raw], data_format="Boto3"):
        found = found["kinesis"]
        payload = found["data"]
        if found.get("aggregated"):
            # Lambda's encoding, whatever went in.
            yield nth, found["subSequenceNumber"], found["partitionKey"], found["explicitHashKey"] or "", base64.b64decode(payload)
        else:
            yield nth, -1, found["partitionKey"], "", payload


def write(folder, seed):
    chance = random.Random(seed)
    records, events = [], []
    made = 0
    while made < EVENTS:
        # With a hash in its table, its own reader takes one for every event of the record.
        hashes = chance.random() < 0.3
        aggregator = RecordAggregator()
        batch = []

        def close(full):
            if full is None:
                return
            key, _, data = full.get_contents()
            count = full.get_num_user_records()
            for sub, (event_key, event_hash, payload) in enumerate(batch[:count]):
                events.append((len(records), sub, event_key, event_hash or "", payload))
            del batch[:count]
            records.append((key, data))

        one_key = event_key_of(chance) if chance.random() < 0.4 else None
        for _ in range(chance.choice([1, chance.randrange(2, 10), chance.randrange(2, 200)])):
            key = one_key or event_key_of(chance)
            explicit = str(chance.getrandbits(128)) if hashes else None
            payload = payload_of(chance)
            full = aggregator.add_user_record(key, payload, explicit)
            close(full)
            batch.append((key, explicit, payload))
            made += 1
        close(aggregator.clear_and_get())
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "whole.capture", "wb") as out:
        for key, data in records:
            out.write(framed(key.encode()) + FULL + framed(data))
    with open(folder / "whole.events", "wb") as out:
        for record, sub, key, explicit, payload in events:
            out.write(struct.pack(">Ii", record, sub))
            out.write(framed(key.encode()) + framed(explicit.encode()) + framed(payload))
    print(f"Python wrote whole: {len(events)} events in {len(records)} records (seed {seed})")


def event_key_of(chance):
    nth = chance.randrange(2_000)
    return [
        f"user-{nth}",
        f"ключ-{nth}",
        # The library counts characters and means bytes: none longer than 256 of either.
        "💡" + "x" * (nth % 240) + f"-{nth}",
        "k" * (1 + nth % 256),
    ][nth % 4]


def payload_of(chance):
    kind = chance.randrange(500)
    most = 200_000 if kind == 0 else 20_000 if kind < 20 else 2_000 if kind < 140 else 200
    return chance.randbytes(chance.randint(0, most))


def framed(data):
    return struct.pack(">I", len(data)) + data


class Reader:
    def __init__(self, path):
        self.data, self.at = path.read_bytes(), 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        return struct.unpack(">i", self.take(4))[0]

    def framed(self):
        return self.take(self.number())

    def more(self):
        return self.at < len(self.data)


def read_capture(path):
    file = Reader(path)
    while file.more():
        key = file.framed().decode()
        file.take(32)
        yield key, file.framed()


def read_events(path):
    file = Reader(path)
    while file.more():
        yield (
            file.number(),
            file.number(),
            file.framed().decode(),
            file.framed().decode(),
            file.framed(),
        )


main()
