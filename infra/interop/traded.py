"""What the programs in Python trade, whatever the hub: events, their order, and the files of README.md."""

import base64
import dataclasses
import json

EVENTS = 10_000


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


def keys(chance):
    """A key for each event, or none; those of a key come in runs, as they are sent."""
    while True:
        key = None if chance.random() < 0.05 else key_of(chance)
        for _ in range(chance.choice([1, chance.randrange(2, 10), chance.randrange(2, 80)])):
            yield key


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


def size_of(chance):
    """Of a body: mostly short, some of 200 KB."""
    kind = chance.randrange(500)
    most = 200_000 if kind == 0 else 20_000 if kind < 20 else 2_000 if kind < 140 else 200
    return chance.randint(0, most)


class Left:
    """What has not come yet: of each key the rest, in the order in which it was sent."""

    def __init__(self, expected):
        self.expected = expected
        self.left = {}
        for nth, event in enumerate(expected):
            self.left.setdefault(whose(event), []).append(nth)
        for own in self.left.values():
            own.reverse()
        self.count = len(expected)

    def take(self, event, at):
        """Which one it is. Raises `Difference` where it is not the next one of its key; `at` says where it was found."""
        own = self.left.get(whose(event))
        if not own:
            raise Difference(f"{at}: not sent, or sent once only: {event}")
        nth = own.pop()
        if event != self.expected[nth]:
            raise Difference(f"{at}: differs\n  found    {event}\n  expected {self.expected[nth]}")
        self.count -= 1
        return nth

    def check_none(self):
        if self.count:
            raise Difference(f"{self.count} of {len(self.expected)} events are missing")


def whose(event):
    """Events of the same are in order; one without a key is alone."""
    if event.key is not None:
        return event.key
    return next((value for name, value in event.headers if name == "n"), None)


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
