// The events that JavaScript sends, what a reader must find of them, and the comparison; ../README.md has the file format.
"use strict";

const fs = require("node:fs");

const EVENTS = 10_000;
// What an event may take at most is 1 MiB; the batch, the key and the headers take some of it.
const LARGEST = (1 << 20) - 2_000;

/** Something is not as it was sent, or not refused as it should be. */
class Difference extends Error {}

/** Numbers by a seed: mulberry32. */
class Chance {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** From 0 up to 1, without 1. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Up to `end`, without it. */
  below(end) {
    return Math.floor(this.next() * end);
  }

  of(values) {
    return values[this.below(values.length)];
  }

  bytes(size) {
    return Buffer.from(Array.from({ length: size }, () => this.below(256)));
  }
}

/** 10,000 events; those of a key come in runs, as they are sent. `wire` is the body as others get it. */
function make(seed) {
  const chance = new Chance(seed);
  const largest = Buffer.alloc(LARGEST, 7);
  const made = [{ key: "largest", form: "data", body: largest, wire: largest, properties: undefined }];
  while (made.length < EVENTS) {
    const key = chance.next() < 0.05 ? undefined : keyOf(chance);
    const run = chance.of([1, 2 + chance.below(8), 2 + chance.below(78)]);
    for (let n = 0; n < run; n++) {
      made.push({ key, ...bodyOf(chance), properties: propertiesOf(chance, key, made.length) });
    }
  }
  return made.slice(0, EVENTS);
}

function keyOf(chance) {
  const nth = chance.below(400);
  const length = 1 + (nth % 128);
  return [
    `user-${nth}`,
    `ключ-${nth}`,
    "💡".repeat(length),
    "k".repeat(length),
    // The same letter, composed and not: two keys.
    `\u00e9-${nth >> 4}`,
    `e\u0301-${nth >> 4}`,
    `"מפתח"\n${nth}`,
    `${nth}`,
  ][nth % 8];
}

function bodyOf(chance) {
  const kind = chance.below(500);
  const most = kind === 0 ? 200_000 : kind < 20 ? 20_000 : kind < 140 ? 2_000 : 200;
  const size = chance.below(most + 1);
  const text = () => Array.from({ length: size >> 2 }, () => chance.of([..."aü€💡 "])).join("");
  switch (chance.below(10)) {
    case 0: {
      // Sent as JSON.
      const body = { text: text(), number: -1.5, list: [null, true] };
      return { form: "data", body, wire: Buffer.from(JSON.stringify(body)) };
    }
    case 1: {
      const body = text();
      return { form: "value", body, wire: Buffer.from(body) };
    }
    default: {
      const body = chance.bytes(size);
      return { form: "data", body, wire: body };
    }
  }
}

function propertiesOf(chance, key, nth) {
  // One without a key is known by its number.
  if (key !== undefined && chance.next() < 0.2) return undefined;
  const others = {
    text: chance.of(["", "en", "grüße", "💡".repeat(50), "a\nb"]),
    имя: "значение",
    yes: chance.next() < 0.5,
    int: chance.below(2 ** 31) * chance.of([-1, 1]),
    long: Number.MAX_SAFE_INTEGER * chance.of([-1, 1]),
    double: chance.below(100) - 50 + 0.25,
    bytes: chance.bytes(8),
    nothing: null,
    moment: new Date(chance.below(2 * 10 ** 12) - 10 ** 12),
  };
  const chosen = Object.entries(others).filter(() => chance.next() < 0.4);
  return { n: nth, ...Object.fromEntries(chosen) };
}

/** What anyhub makes of a property: the text form of its value. */
function text(value) {
  if (value === null || value === undefined) return Buffer.alloc(0);
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(value instanceof Date ? `${value.getTime()}` : `${value}`);
}

/** The event as a reader of ours sees it: values of headers as bytes. */
function event(key, body, properties) {
  const headers = Object.entries(properties ?? {}).map(([name, value]) => [name, text(value).toString("base64")]);
  return { key: key ?? null, body: body.toString("base64"), headers };
}

/**
 * Which event of `expected` each one found is, by partition. `partitions` are the events found, each in the order of its
 * log. Throws at the first that differs: nothing is missing or there twice, each key is in one partition and in order.
 */
function compare(expected, partitions) {
  const left = new Map();
  expected.forEach((one, nth) => {
    const own = left.get(whose(one)) ?? [];
    left.set(whose(one), own);
    own.push(nth);
  });
  left.forEach((own) => own.reverse());
  const home = new Map();
  const places = partitions.map((log) =>
    log.map((found, place) => {
      const at = `partition ${found.partition}, sequence number ${found.sequence}`;
      if (found.sequence !== place) throw new Difference(`${at}: it is event ${place} of its partition`);
      const who = whose(found.event);
      const nth = left.get(who)?.pop();
      if (nth === undefined) throw new Difference(`${at}: not sent, or sent once only: ${shown(found.event)}`);
      if (JSON.stringify(found.event) !== JSON.stringify(expected[nth])) {
        throw new Difference(`${at}: differs\n  found    ${shown(found.event)}\n  expected ${shown(expected[nth])}`);
      }
      if ((home.get(who) ?? found.partition) !== found.partition) {
        throw new Difference(`${at}: its key is in partition ${home.get(who)} too: ${shown(found.event)}`);
      }
      home.set(who, found.partition);
      return nth;
    }),
  );
  const missing = [...left.values()].reduce((sum, own) => sum + own.length, 0);
  if (missing > 0) throw new Difference(`${missing} of ${expected.length} events are missing`);
  return places;
}

/** Events of the same are in order; one without a key is alone. */
function whose(one) {
  if (one.key !== null) return `key ${one.key}`;
  return `number ${one.headers.find(([name]) => name === "n")?.[1]}`;
}

function shown(one) {
  return JSON.stringify({ ...one, body: `${one.body.slice(0, 40)} (${one.body.length} characters)` }).slice(0, 600);
}

/** The first, the last and one other place of each partition, and what is there. */
function marks(seed, partitions, places) {
  const chance = new Chance(seed);
  return partitions.flatMap((log, partition) => {
    const at = new Set([0, log.length - 1, chance.below(log.length)]);
    return [...at].map((sequence) => ({
      partition,
      sequence,
      time: log[sequence].time,
      nth: places[partition][sequence],
    }));
  });
}

function write(path, lines) {
  fs.writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

function read(path) {
  const lines = fs.readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}

module.exports = { Difference, compare, event, make, marks, read, write };
