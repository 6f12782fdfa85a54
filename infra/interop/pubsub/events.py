"""The events that Python sends by Pub/Sub, and which of those that were sent a reader has found."""

import random

from traded import EVENTS, Difference, Event, Left, keys, size_of

#: What a request may take at most is 10 MB; the topic, the key and the attributes take some of it.
LARGEST = 10_000_000 - 1_000
#: Attributes of anyhub's own: there is nothing else in the message; where each header stands, in the order of their names.
EMPTY, ORDER = "anyhub-empty", "anyhub-order"


def make(seed):
    """10,000 events; those of a key come in runs, as they are sent."""
    chance = random.Random(seed)
    made = [Event("largest", chance.randbytes(LARGEST))]
    for key in keys(chance):
        if len(made) == EVENTS:
            return made
        attributes = attributes_of(chance, key, len(made))
        # Nothing at all is refused.
        body = chance.randbytes(size_of(chance)) or (b"" if attributes else b"0")
        made.append(event(key, body, attributes))


def attributes_of(chance, key, nth):
    # One without a key is known by its number.
    if key is not None and chance.random() < 0.2:
        return {}
    others = {
        "text": chance.choice(["", "en", "grüße", "a\nb", "true", "-7"]),
        "имя": "значение",
        "empty": "",
        "longest": "💡" * 256,
        "n" * 256: "of the longest name",
        "a name with spaces": "7",
    }
    if nth % 1_000 == 0:
        others = {f"{name}": "one of 99" for name in range(99)}
        return {"n": str(nth), **others}
    names = chance.sample(sorted(others), chance.randrange(len(others)))
    return {"n": str(nth), **{name: others[name] for name in names}}


def event(key, body, attributes):
    """A message as the event that a reader of anyhub's gets. Attributes have no order: theirs is by name, if none is told."""
    if not body and list(attributes) == [EMPTY]:
        attributes = {}
    headers = [(name, value.encode()) for name, value in sorted(attributes.items()) if name != ORDER]
    if ORDER in attributes:
        places = [int(place) for place in attributes[ORDER].split(",")]
        if sorted(places) != list(range(len(headers))):
            raise Difference(f"{ORDER} is {attributes[ORDER]!r}, of {len(headers)} headers")
        headers = [header for _, header in sorted(zip(places, headers))]
    return Event(key or None, body, tuple(headers))


class Again:
    """Which event each delivery is, where some are nacked at their first.

    Of a key they come in order, or from a nacked one on again; one without a key comes again if it was nacked.
    """

    def __init__(self, expected, nacked):
        self.left = Left(expected)
        self.nacked, self.again = set(nacked), set()
        #: Those of each key in order, and where in it the last delivery was.
        self.keys, self.last = {}, {}
        self.place, self.known = [0] * len(expected), {}
        for nth, one in enumerate(expected):
            if one.key is not None:
                own = self.keys.setdefault(one.key, [])
                self.place[nth] = len(own)
                own.append(nth)
        self.deliveries = 0

    def take(self, found, id):
        """Whether it is to be nacked. Messages are known again by their ids."""
        self.deliveries += 1
        nth = self.known.get(id)
        first = nth is None
        if first:
            nth = self.known[id] = self.left.take(found, f"message {id}")
        elif found != self.left.expected[nth]:
            raise Difference(f"message {id}: differs the second time: {found}")
        elif nth in self.nacked:
            self.again.add(nth)
        self.check_order(nth, first, found, id)
        return first and nth in self.nacked

    def check_order(self, nth, first, found, id):
        if found.key is None:
            if not first and nth not in self.nacked:
                raise Difference(f"message {id}: came again without a key and without a nack: {found}")
            return
        place, last = self.place[nth], self.last.get(found.key, -1)
        if place != last + 1 and (place > last or nth not in self.nacked):
            raise Difference(f"message {id}: is event {place} of its key, and came after event {last}: {found}")
        self.last[found.key] = place

    def is_over(self):
        """True once each has come, the nacked ones twice, and each key has got to its end again."""
        if self.left.count or len(self.again) < len(self.nacked):
            return False
        return all(self.last[key] == len(own) - 1 for key, own in self.keys.items())
