"""The events that Python sends, what a reader must find of them, and the comparison; ../README.md has the file format."""

import dataclasses
import datetime
import random
import uuid

from traded import EVENTS, Difference, Event, Left, keys, size_of, whose

#: What an event may take at most is 1 MiB; the batch, the key and the headers take some of it.
LARGEST = (1 << 20) - 2_000


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
    for key in keys(chance):
        if len(made) == EVENTS:
            return made
        form, body = body_of(chance)
        made.append(Made(key, form, body, properties_of(chance, key, len(made))))


def body_of(chance):
    size = size_of(chance)
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
    left, home, places = Left(expected), {}, []
    for log in partitions:
        places.append([])
        for place, found in enumerate(log):
            at = f"partition {found.partition}, sequence number {found.sequence}"
            if found.sequence != place:
                raise Difference(f"{at}: it is event {place} of its partition")
            nth = left.take(found.event, at)
            who = whose(found.event)
            if home.setdefault(who, found.partition) != found.partition:
                raise Difference(f"{at}: its key is in partition {home[who]} too: {found.event}")
            places[-1].append(nth)
    left.check_none()
    return places


def marks(seed, partitions, places):
    """The first, the last and one other place of each partition, and what is there."""
    chance = random.Random(seed)
    for log, numbers in zip(partitions, places):
        for at in sorted({0, len(log) - 1, chance.randrange(len(log))}):
            yield {"partition": log[at].partition, "sequence": at, "time": log[at].time, "nth": numbers[at]}
