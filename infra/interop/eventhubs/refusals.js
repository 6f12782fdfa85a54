// What can't be had, each refused in its own words and at once: the client's deadlines are 60 s.
"use strict";

const { EventHubProducerClient } = require("@azure/event-hubs");
const { Difference } = require("./events.js");

const DEADLINE = 60_000;

/** `here` is of the hub `refusals`; `receive` is interop.js's. */
async function checkAll(here, receive) {
  const elsewhere = here.replace("EntityPath=refusals", "EntityPath=elsewhere");
  const wrong = here.replace("SharedAccessKey=", "SharedAccessKey=not");
  const startPosition = { offset: "-1" };
  const beyond = { startPosition: { sequenceNumber: 99_999 } };
  const cases = [
    ["a wrong key, sending", "InvalidSignature", () => send(wrong)],
    ["a wrong key, reading", "InvalidSignature", () => receive(wrong, 0, 1, { startPosition })],
    ["a hub that isn't there, sending", "could not be found", () => send(elsewhere)],
    ["a hub that isn't there, its properties", "could not be found", () => properties(elsewhere)],
    ["a hub that isn't there, reading", "could not be found", () => receive(elsewhere, 0, 1, { startPosition })],
    ["a group that isn't there", "could not be found", () => receive(here, 0, 1, { group: "nobody", startPosition })],
    ["an event that is too large", "size", () => send(here, Buffer.alloc(1_100_000))],
    ["a key of 129 characters", "129 characters", () => send(here, "x", { partitionKey: "k".repeat(129) })],
    ["a start beyond the end", "sequence number '99999'", () => receive(here, 0, 1, beyond)],
  ];
  for (const [what, says, call] of cases) {
    const start = performance.now();
    const refusal = await call().then(
      () => undefined,
      (error) => error,
    );
    const took = performance.now() - start;
    if (refusal === undefined) throw new Difference(`${what}: not refused`);
    if (!refusal.message.includes(says)) throw new Difference(`${what}: refused in other words: ${refusal}`);
    if (took > DEADLINE / 2) throw new Difference(`${what}: refused after ${took} ms only: ${refusal}`);
    console.log(`JavaScript was refused ${what}: ${refusal.code ?? refusal.name}, ${took.toFixed(0)} ms`);
  }
  await send(here);
  console.log(`JavaScript: ${cases.length} refusals, and it goes on`);
}

async function send(connectionString, body = "x", options = {}) {
  await using(connectionString, (producer) => producer.sendBatch([{ body }], options));
}

async function properties(connectionString) {
  await using(connectionString, (producer) => producer.getEventHubProperties());
}

async function using(connectionString, call) {
  const retryOptions = { maxRetries: 0, timeoutInMs: DEADLINE };
  const producer = new EventHubProducerClient(connectionString, { retryOptions });
  try {
    await call(producer);
  } finally {
    await producer.close();
  }
}

module.exports = { checkAll };
