// The Node side of the client benchmark: connect, then round trips on demand. Reads one line per round from stdin:
// {"count": 500, "window": 16}; answers with seconds, one line each.
import { createRequire } from "node:module";
import readline from "node:readline";

const { WebSocket } = createRequire(process.env.BENCH_ENTRY)("ws");
const METHOD = process.env.BENCH_METHOD;
const ws = new WebSocket(process.env.BENCH_URL, { perMessageDeflate: false });
const waiting = new Map();
let next = 1;

function call(method, params) {
  const id = `n${next++}`;
  ws.send(JSON.stringify({ type: "req", id, method, params }));
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

const open = new Promise((resolve, reject) => {
  ws.on("error", reject);
  ws.on("message", (data) => {
    const frame = JSON.parse(data.toString());
    if (frame.type === "event" && frame.event === "connect.challenge") {
      call("connect", {
        minProtocol: 3, maxProtocol: 4,
        client: { id: "gateway-client", version: "0", platform: process.platform, mode: "backend" },
        role: "operator", scopes: ["operator.read"], caps: [], auth: { token: process.env.BENCH_TOKEN },
      }).then(resolve, reject);
    } else if (frame.type === "res") {
      const call = waiting.get(frame.id);
      waiting.delete(frame.id);
      if (frame.ok) call?.resolve(frame.payload);
      else call?.reject(new Error(JSON.stringify(frame.error)));
    }
  });
});

async function round(count, window) {
  let left = count;
  const begun = process.hrtime.bigint();
  await Promise.all(Array.from({ length: window }, async () => {
    while (left-- > 0) await call(METHOD, {});
  }));
  return Number(process.hrtime.bigint() - begun) / 1e9;
}

await open;
console.log("open");
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { count, window } = JSON.parse(line);
  console.log(await round(count, window));
}
ws.close();
