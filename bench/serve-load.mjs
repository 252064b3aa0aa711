// `amalgam serve` under load: many clients with requests of mixed sizes, a fifth of which hang up; some clients ask for much more than
// the others. Each client has an address of its own (127.0.0.x, on Linux). Run after `npm run build`:
//   node bench/serve-load.mjs [--seconds 300] [--clients 200] [--model REFERENCE] [--longest WORDS]
// Fails where a request fails that did not hang up, or the server does not end with 0.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { machine } from "./lib/machine.mjs";
import { options } from "./lib/options.mjs";

const given = options({
  seconds: 300,
  clients: 200,
  greedy: 10,
  model: "package:smollm2-135m-instruct",
  running: 64,
  longest: 400,
});
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const limits = [
  `running=${given.running}`,
  "waiting=4096",
  "waiting_seconds=1200",
  "seconds=1800",
  "drain_seconds=600",
];
const server = spawn(
  process.execPath,
  [main, "serve", "--model", `m=${given.model}`, "--port", "0", ...limits.flatMap((limit) => ["--limit", limit])],
  { stdio: ["ignore", "ignore", "pipe"] },
);
const answered = [];
const listening = new Promise((resolve, reject) => {
  server.on("exit", () => reject(new Error("the server ended")));
  createInterface({ input: server.stderr }).on("line", (line) => {
    if (!line.startsWith("{")) return console.error(line);
    const entry = JSON.parse(line);
    if (entry.msg === "listening") resolve(new URL(entry.url));
    else if (entry.msg === "answered") answered.push(entry);
    else console.error(line);
  });
});
const url = await listening;

// A generator with a state of 32 bits (Marsaglia's xorshift): the same requests in each run.
let state = 2463534242;
const random = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};
const between = (least, most) => Math.floor(least + random() * (most - least + 1));
const words = "the a model writes some more words about rivers and tables while it rains".split(" ");
const text = (count) => Array.from({ length: count }, () => words[between(0, words.length - 1)]).join(" ");

/** A request's path and body: most are small, some large. */
function mixed() {
  const large = random() < 0.15;
  const body = {
    ...{ model: "m", stream: random() < 0.5, seed: between(0, 1e6), temperature: random() < 0.3 ? 0 : 1 },
    ...{ max_tokens: large ? between(24, 64) : between(1, 16), n: random() < 0.1 ? 3 : 1 },
  };
  const content = text(large ? between(given.longest / 4, given.longest) : between(3, given.longest / 10));
  if (random() < 0.3)
    return ["/v1/completions", { ...body, prompt: content, ...(random() < 0.3 ? { echo: true, logprobs: 2 } : {}) }];
  return ["/v1/chat/completions", { ...body, messages: [{ role: "user", content }] }];
}

/** Sends one request; "done", "gone" (it hung up itself) or what went wrong. */
function ask(agent, localAddress, hangUp) {
  return new Promise((resolve) => {
    const [path, body] = mixed();
    const begun = performance.now();
    let mine = false;
    const sent = request(
      url,
      { path, method: "POST", agent, localAddress, headers: { "content-type": "application/json" } },
      (answer) => {
        let received = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk) => {
          received += chunk;
        });
        answer.on("error", (error) => resolve(mine ? { kind: "gone" } : { kind: `broken off: ${error.code}` }));
        answer.on("end", () => {
          if (answer.statusCode !== 200) {
            refusals.push(received.slice(0, 300));
            return resolve({ kind: `status ${answer.statusCode}` });
          }
          const whole = body.stream
            ? received.endsWith("data: [DONE]\n\n") && !received.includes('data: {"error"')
            : received.includes('"usage"');
          resolve({
            kind: whole ? "done" : `not whole: ${received.slice(-200)}`,
            seconds: (performance.now() - begun) / 1000,
          });
        });
      },
    );
    sent.on("error", (error) =>
      resolve(mine ? { kind: "gone" } : { kind: `no answer: ${error.code ?? error.message}` }),
    );
    sent.end(JSON.stringify(body));
    if (hangUp)
      setTimeout(
        () => {
          mine = true;
          sent.destroy();
        },
        between(0, 4000),
      );
  });
}

const kinds = new Map();
const refusals = [];
const done = Array.from({ length: given.clients }, () => 0);
const started = Date.now();
const until = performance.now() + given.seconds * 1000;
async function client(index) {
  const address = `127.0.${1 + Math.floor(index / 200)}.${2 + (index % 200)}`;
  const inFlight = index < given.greedy ? 8 : 1;
  const agent = new Agent({ keepAlive: true });
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (performance.now() < until) {
        const { kind } = await ask(agent, address, random() < 0.2);
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        if (kind === "done" && performance.now() < until) done[index] += 1;
      }
    }),
  );
  agent.destroy();
}

const memory = [];
const watch = setInterval(async () => {
  const answer = await fetch(new URL("/metrics", url)).catch(() => undefined);
  const metrics = (await answer?.text()) ?? "";
  if (metrics === "") return;
  const value = (name) =>
    Number(
      metrics
        .split("\n")
        .find((line) => line.startsWith(`${name} `))
        ?.split(" ")
        .at(-1),
    );
  memory.push({
    seconds: (Date.now() - started) / 1000,
    resident: value("process_resident_memory_bytes"),
    tensors: value("amalgam_tensor_bytes"),
    kept: value("amalgam_tensor_kept_bytes"),
    "heap, listening": value("nodejs_heap_size_used_bytes"),
    "heap, computing": value("amalgam_engine_heap_bytes"),
    external: value("nodejs_external_memory_bytes"),
  });
}, 2000);

await Promise.all(Array.from({ length: given.clients }, (_, index) => client(index)));
clearInterval(watch);
const left = performance.now();
server.removeAllListeners("exit");
server.kill("SIGTERM");
const [code] = await once(server, "exit");

const quantile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const told = (name, values) =>
  console.log(
    `${name.padEnd(16)} median ${seconds(quantile(values, 0.5))}, p90 ${seconds(quantile(values, 0.9))}, p99 ${seconds(quantile(values, 0.99))}, most ${seconds(quantile(values, 1))}`,
  );
const mib = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;
/** The most in each minute. */
const most = (minute, field) =>
  Math.max(...memory.filter(({ seconds }) => Math.floor(seconds / 60) === minute).map((sample) => sample[field]));

/**
 * What each client was served: tokens of its prompts once, of its responses twice, as the line counts them. What came in the first
 * third of the time, before everybody was there, and after its end is left out.
 */
const served = new Map();
const within = ({ time, queueMs }) =>
  queueMs !== undefined && time > started + given.seconds * 333 && time < started + given.seconds * 1000;
for (const { address, promptTokens = 0, responseTokens = 0 } of answered.filter(within))
  served.set(address, (served.get(address) ?? 0) + promptTokens + 2 * responseTokens);
const amounts = (from, to) =>
  Array.from(
    { length: to - from },
    (_, k) => served.get(`127.0.${1 + Math.floor((from + k) / 200)}.${2 + ((from + k) % 200)}`) ?? 0,
  );
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const jain = (values) => mean(values) ** 2 / mean(values.map((value) => value ** 2));
const [greedy, modest] = [amounts(0, given.greedy), amounts(given.greedy, given.clients)];

console.log(JSON.stringify(machine()));
console.log([...kinds].map(([kind, count]) => `${count} ${kind}`).join("; "));
told(
  "in the line",
  answered.flatMap(({ queueMs }) => (queueMs === undefined ? [] : [queueMs])),
);
told(
  "first text",
  answered.flatMap(({ firstTokenMs }) => (firstTokenMs === undefined ? [] : [firstTokenMs])),
);
const tokens = answered.reduce((sum, { responseTokens = 0 }) => sum + responseTokens, 0);
console.log(`${(tokens / given.seconds).toFixed(0)} tokens of responses a second`);
const minutes = [...new Set(memory.map(({ seconds }) => Math.floor(seconds / 60)))];
console.log("most of its memory in each minute:");
for (const field of Object.keys(memory[0] ?? {}).filter((name) => name !== "seconds"))
  console.log(`${field.padEnd(16)} ${minutes.map((minute) => mib(most(minute, field))).join(", ")}`);
console.log(
  `fairness         Jain's index over the ${modest.length} clients with one request at a time ${jain(modest).toFixed(3)}; the ${greedy.length} with eight at a time were served ${(mean(greedy) / mean(modest)).toFixed(2)} times as much`,
);
console.log(`ended with ${code}, ${seconds(performance.now() - left)} after SIGTERM`);
const bad = [...kinds.keys()].filter((kind) => kind !== "done" && kind !== "gone");
process.exitCode = bad.length === 0 && code === 0 ? 0 : 1;
