// Microsoft's client for JavaScript against the local Event Hubs.
//
//   interop.js publish CONNECTION_STRING FOLDER SEED   sends events, reads them back, writes what a reader must find
//   interop.js read CONNECTION_STRING FOLDER           reads what another program has sent, and compares
//   interop.js refusals CONNECTION_STRING              asks for what can't be had
//
// Ends with status 1 at the first thing that differs. ../README.md says what the files hold.
"use strict";

const path = require("node:path");
const { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } = require("@azure/event-hubs");
const events = require("./events.js");
const refusals = require("./refusals.js");

// For what has to come; nothing waits for as long where all is well.
const DEADLINE = 60_000;
const RETRIES = { retryOptions: { maxRetries: 0, timeoutInMs: DEADLINE } };

async function main([command, connectionString, folder, seed]) {
  switch (command) {
    case "publish":
      return publish(connectionString, folder, Number(seed));
    case "read":
      return verify(connectionString, folder);
    default:
      return refusals.checkAll(connectionString, receive);
  }
}

async function publish(connectionString, folder, seed) {
  const made = events.make(seed);
  const start = performance.now();
  const producer = new EventHubProducerClient(connectionString, RETRIES);
  const sends = await sendAll(producer, made, seed);
  await producer.close();
  const told = `${sends.toLocaleString("en")} messages, ${since(start)} (seed ${seed})`;
  console.log(`JavaScript sent ${made.length.toLocaleString("en")} events in ${told}`);
  const expected = made.map((one) => events.event(one.key, one.wire, one.properties));
  const partitions = await readAll(connectionString);
  const places = events.compare(expected, partitions);
  events.write(path.join(folder, "events"), expected);
  events.write(path.join(folder, "marks"), events.marks(seed, partitions, places));
}

/** Sends runs of one key, as arrays and as batches. */
async function sendAll(producer, made, seed) {
  let sends = 0;
  for (let at = 0; at < made.length; ) {
    const { key } = made[at];
    let end = at;
    while (end < made.length && made[end].key === key) end++;
    const run = made.slice(at, end).map(message);
    const options = key === undefined ? {} : { partitionKey: key };
    const bytes = made.slice(at, end).reduce((sum, one) => sum + one.wire.length, 0);
    if ((seed + at) % 3 === 0 && bytes < 500_000) {
      await producer.sendBatch(run, options);
      sends += 1;
    } else {
      sends += await sendBatches(producer, run, options);
    }
    at = end;
  }
  return sends;
}

async function sendBatches(producer, run, options) {
  let sends = 1;
  let batch = await producer.createBatch(options);
  for (const one of run) {
    if (batch.tryAdd(one)) continue;
    await producer.sendBatch(batch);
    sends += 1;
    batch = await producer.createBatch(options);
    if (!batch.tryAdd(one)) throw new events.Difference("an event does not fit into a batch");
  }
  await producer.sendBatch(batch);
  return sends;
}

function message({ key, form, body, properties }) {
  if (form !== "value") return { body, properties };
  // To one of these the client does not add the key itself.
  const messageAnnotations = key === undefined ? {} : { "x-opt-partition-key": key };
  return { body, bodyType: form, applicationProperties: properties, messageAnnotations };
}

async function verify(connectionString, folder) {
  const expected = events.read(path.join(folder, "events"));
  const start = performance.now();
  const partitions = await readAll(connectionString);
  const took = since(start);
  const places = events.compare(expected, partitions);
  const keys = new Set(expected.map((one) => one.key).filter((key) => key !== null)).size;
  const what = `${expected.length.toLocaleString("en")} events of ${keys} keys in ${partitions.length} partitions`;
  console.log(`JavaScript read ${what}, all as they were sent, ${took}`);
  const marks = events.read(path.join(folder, "marks"));
  for (const mark of marks) await begins(connectionString, partitions, places, mark);
  console.log(`JavaScript began at and behind ${marks.length} sequence numbers, and behind ${marks.length} times`);
}

/** What the mark's writer saw is what we see, and readers that begin there get it first. */
async function begins(connectionString, partitions, places, mark) {
  const log = partitions[mark.partition];
  const { sequence, time } = mark;
  if (places[mark.partition][sequence] !== mark.nth || log[sequence].time !== time) {
    throw new events.Difference(`another event or time than the writer's: ${JSON.stringify(mark)}`);
  }
  const after = log.filter((one) => one.time <= time).length;
  const starts = [
    [sequence, { sequenceNumber: sequence, isInclusive: true }],
    [sequence + 1, { sequenceNumber: sequence }],
    // It knows only what came later than a time.
    [after, { enqueuedOn: time }],
  ];
  for (const [expected, startPosition] of starts) {
    if (expected === log.length) continue;
    const [first] = await receive(connectionString, mark.partition, 1, { startPosition });
    if (JSON.stringify(first) !== JSON.stringify(log[expected])) {
      throw new events.Difference(`began ${JSON.stringify(startPosition)} at ${first.sequence} instead of ${expected}`);
    }
  }
}

/** All events of each partition; each partition is read to its end. */
async function readAll(connectionString) {
  const producer = new EventHubProducerClient(connectionString, RETRIES);
  const partitions = [];
  for (const id of await producer.getPartitionIds()) {
    const { lastEnqueuedSequenceNumber: last } = await producer.getPartitionProperties(id);
    const startPosition = earliestEventPosition;
    partitions.push(last < 0 ? [] : await receive(connectionString, id, last + 1, { startPosition }));
  }
  await producer.close();
  return partitions;
}

/** The first `count` events; throws the error that comes instead. */
async function receive(connectionString, partition, count, { group = "$Default", ...options }) {
  const consumer = new EventHubConsumerClient(group, connectionString, RETRIES);
  const came = [];
  let timer;
  try {
    await new Promise((resolve, reject) => {
      const late = () => reject(new events.Difference(`only ${came.length} of ${count} events came of partition ${partition}`));
      timer = setTimeout(late, DEADLINE);
      const handlers = {
        async processEvents(batch) {
          came.push(...batch);
          if (came.length >= count) resolve();
        },
        async processError(error) {
          reject(error);
        },
      };
      const settings = { skipParsingBodyAsJson: true, maxBatchSize: Math.min(count, 300), maxWaitTimeInSeconds: 1, ...options };
      consumer.subscribe(String(partition), handlers, settings);
    });
  } finally {
    clearTimeout(timer);
    await consumer.close();
  }
  return came.slice(0, count).map((one) => ({
    partition: Number(partition),
    sequence: one.sequenceNumber,
    time: one.enqueuedTimeUtc.getTime(),
    // Its own `properties` turn bytes into an object.
    event: events.event(one.partitionKey, bytesOf(one.body), one.getRawAmqpMessage().applicationProperties),
  }));
}

/** A value may be a text, and no body is nothing. */
function bytesOf(body) {
  return Buffer.isBuffer(body) ? body : Buffer.from(body ?? "");
}

function since(start) {
  return `${((performance.now() - start) / 1_000).toFixed(1)} s`;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error instanceof events.Difference ? `interop: JavaScript: ${error.message}` : error);
  process.exitCode = 1;
});
