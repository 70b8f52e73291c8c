// A subscriber: reads COUNT events of the filter from the first one on, prints subject, sequence and type of each, and
// then waits until it is disconnected. What must not work is tried before.
//
//   node read.mjs URL KEY_ID TOKEN FILTER COUNT FOREIGN_FILTER FOREIGN_CONSUMER
import { connect } from "@nats-io/transport-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

const [url, key, token, filter, count, foreignFilter, foreignConsumer] = process.argv.slice(2);

const nc = await connect({ servers: url, token, inboxPrefix: `_INBOX.key.${key}`, reconnect: false });
const consumers = (await jetstreamManager(nc, { checkAPI: false, timeout: 1000 })).consumers;

async function refused(what, attempt) {
  try {
    await attempt();
  } catch {
    console.log(`refused: ${what}`);
    return;
  }
  throw new Error(`${what} is not refused`);
}
await refused("a foreign filter", () => consumers.add("LEDGER", { name: key, filter_subject: foreignFilter, ack_policy: AckPolicy.None }));
await refused("a foreign consumer", () => consumers.info("LEDGER", foreignConsumer));
await refused("a stream", () => nc.request("$JS.API.STREAM.INFO.LEDGER", "", { timeout: 1000 }));

await consumers.add("LEDGER", { durable_name: key, filter_subject: filter, ack_policy: AckPolicy.Explicit });
const consumer = await jetstream(nc).consumers.get("LEDGER", key);
let left = Number(count);
for await (const m of await consumer.consume()) {
  console.log(`event: ${m.subject} ${m.seq} ${m.headers.get("Keyledger-Type")}`);
  await m.ackAck();
  if (--left === 0) break;
}
console.log("waiting");
await nc.closed();
console.log("disconnected");
