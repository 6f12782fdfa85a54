"""The events that Python sends, what a reader must find of them, and the comparison; ../README.md has the file format."""

import base64
import dataclasses
import datetime
import json
import random
import uuid

EVENTS = 10_000
#: What an event may take at most is 1 MiB; the batch, the key and the headers take some of it.
LARGEST = (1 << 20) - 2_000


class Difference(Exception):
    """Something is not as it was sent, or not refused as it should be."""


@dataclasses.dataclass(frozen=True)
class Event:
    """An event as a reader of ours sees it: values of headers as bytes."""

    key: str | None
    body: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    def __str__(self):
        return f"key {self.key!r}, {len(self.body)} bytes {self.body[:20]!r}, headers {self.headers!r}"[:600]


@dataclasses.dataclass(frozen=True)
class Found:
    """An event that was read, and where."""

    partition: int
    sequence: int
    #: Milliseconds since 1970.
    time: int
    event: Event


@dataclasses.dataclass(frozen=True)
class Made:
    """An event to be sent: how its body is put in, and its properties as Python's types."""

    key: str | None
    form: str
    body: bytes
    properties: dict

    def event(self):
        headers = tuple((name, text(value)) for name, value in self.properties.items())
        return Event(self.key, self.body, headers)


def make(seed):
    """10,000 events; those of a key come in runs, as they are sent."""
    chance = random.Random(seed)
    made = [Made("largest", "data", chance.randbytes(LARGEST), {})]
    while len(made) < EVENTS:
        key = None if chance.random() < 0.05 else key_of(chance)
        for _ in range(chance.choice([1, chance.randrange(2, 10), chance.randrange(2, 80)])):
            form, body = body_of(chance)
            made.append(Made(key, form, body, properties_of(chance, key, len(made))))
    return made[:EVENTS]


def key_of(chance):
    nth = chance.randrange(400)
    length = 1 + nth % 128
    return [
        f"user-{nth}",
        f"ключ-{nth}",
        "💡" * length,
        "k" * length,
        # The same letter, composed and not: two keys.
        f"\u00e9-{nth // 16}",
        f"e\u0301-{nth // 16}",
        f'"מפתח"\n{nth}',
        f"{nth}",
    ][nth % 8]


def body_of(chance):
    kind = chance.randrange(500)
    most = 200_000 if kind == 0 else 20_000 if kind < 20 else 2_000 if kind < 140 else 200
    size = chance.randint(0, most)
    form = chance.choice(["data"] * 7 + ["text", "sections", "value"])
    if form == "data":
        return form, chance.randbytes(size)
    return form, "".join(chance.choice("aü€💡 ") for _ in range(size // 4)).encode()


def properties_of(chance, key, nth):
    # One without a key is known by its number.
    if key is not None and chance.random() < 0.2:
        return {}
    moment = datetime.datetime.fromtimestamp(chance.randrange(-(10**9), 10**9), datetime.UTC)
    others = {
        "text": chance.choice(["", "en", "grüße", "💡" * 50, "a\nb"]),
        "имя": "значение",
        "yes": chance.random() < 0.5,
        "int": chance.randrange(-(2**31), 2**31),
        "double": chance.randrange(-100, 100) / 4,
        "bytes": chance.randbytes(8),
        "nothing": None,
        "uuid": uuid.UUID(int=chance.getrandbits(128)),
        "moment": moment.replace(microsecond=chance.randrange(1_000) * 1_000),
    }
    names = chance.sample(sorted(others), chance.randrange(len(others)))
    return {"n": nth, **{name: others[name] for name in names}}


def text(value):
    """What anyhub makes of a property: the text form of its value."""
    match value:
        case None:
            return b""
        case bytes():
            return value
        case bool():
            return b"true" if value else b"false"
        case float():
            return (str(int(value)) if value.is_integer() else repr(value)).encode()
        case datetime.datetime():
            # As an integer: seconds as a float would be rounded.
            epoch = datetime.datetime.fromtimestamp(0, datetime.UTC)
            return str((value - epoch) // datetime.timedelta(milliseconds=1)).encode()
        case _:
            return str(value).encode()


def compare(expected, partitions):
    """Which event of `expected` each one found is, by partition.

    `partitions` are lists of `Found`, each in the order of its log. Raises `Difference` at the first that differs: nothing
    is missing or there twice, each key is in one partition and in order.
    """
    left = {}
    for nth, event in enumerate(expected):
        left.setdefault(whose(event), []).append(nth)
    for own in left.values():
        own.reverse()
    home, places = {}, []
    for log in partitions:
        places.append([])
        for place, found in enumerate(log):
            at = f"partition {found.partition}, sequence number {found.sequence}"
            if found.sequence != place:
                raise Difference(f"{at}: it is event {place} of its partition")
            who = whose(found.event)
            if not left.get(who):
                raise Difference(f"{at}: not sent, or sent once only: {found.event}")
            nth = left[who].pop()
            if found.event != expected[nth]:
                raise Difference(f"{at}: differs\n  found    {found.event}\n  expected {expected[nth]}")
            if home.setdefault(who, found.partition) != found.partition:
                raise Difference(f"{at}: its key is in partition {home[who]} too: {found.event}")
            places[-1].append(nth)
    missing = sum(len(own) for own in left.values())
    if missing:
        raise Difference(f"{missing} of {len(expected)} events are missing")
    return places


def whose(event):
    """Events of the same are in order; one without a key is alone."""
    if event.key is not None:
        return event.key
    return next((value for name, value in event.headers if name == "n"), None)


def marks(seed, partitions, places):
    """The first, the last and one other place of each partition, and what is there."""
    chance = random.Random(seed)
    for log, numbers in zip(partitions, places):
        for at in sorted({0, len(log) - 1, chance.randrange(len(log))}):
            yield {"partition": log[at].partition, "sequence": at, "time": log[at].time, "nth": numbers[at]}


def write_lines(path, lines):
    with open(path, "w", encoding="ascii") as out:
        for line in lines:
            out.write(json.dumps(line) + "\n")


def write_events(path, events):
    write_lines(
        path,
        (
            {"key": event.key, "body": packed(event.body), "headers": [[name, packed(value)] for name, value in event.headers]}
            for event in events
        ),
    )


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_events(path):
    return [
        Event(
            line["key"],
            base64.b64decode(line["body"]),
            tuple((name, base64.b64decode(value)) for name, value in line["headers"]),
        )
        for line in read_lines(path)
    ]


def packed(data):
    return base64.b64encode(data).decode()
