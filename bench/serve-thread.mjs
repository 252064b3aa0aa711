// `amalgam serve` beside the library: the same requests to the server and to an engine in one process, in turns; and what streams and
// `/health` feel of long prompts. Run after `npm run build`, no peer:
//   node bench/serve-thread.mjs [--model REFERENCE] [--requests 64] [--tokens 64] [--rounds 2] [--long 6000] [--precision auto]
// Fails where both sides do not draw as many tokens, or a stream stands still until a long prompt is computed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Engine, randomStream } from "amalgam/generation";
import { openModel } from "amalgam/models";
import { machine } from "./lib/machine.mjs";
import { options, toArguments } from "./lib/options.mjs";
import { runWorker } from "./lib/processes.mjs";
import { report } from "./lib/worker.mjs";

const given = options({
  model: "package:smollm2-135m-instruct",
  precision: "auto",
  requests: 64,
  tokens: 64,
  rounds: 2,
  long: 6000,
  side: "",
});
/** Token ids of ordinary words: between the special tokens and the rare ones. */
const ids = (seed, count) => Array.from({ length: count }, (_, k) => 200 + ((seed * 7919 + k * 104729 + k * k) % 5000));
const promptsFrom = (seed) => Array.from({ length: given.requests }, (_, k) => ids(seed + k, 40 + ((k * 37) % 160)));
const prompts = promptsFrom(0);
/** Others, so that nothing of `prompts` is in a cache. */
const warming = promptsFrom(1000);
const sampler = { temperature: 0.8, topP: 0.95, topK: 0 };

if (given.side === "library") {
  const model = await openModel(
    { model: given.model, precision: given.precision, device: "cpu" },
    { baseFolder: process.cwd(), offline: false },
  );
  const engine = new Engine(model.decoder, { rows: 64, cacheBytes: 2 ** 30 });
  const all = async (prompts, maxTokens) => {
    let tokens = 0;
    const begun = performance.now();
    await Promise.all(
      prompts.map(async (prompt, k) => {
        const request = { prompt, sampler, maxTokens, endIds: new Set(), streams: [randomStream(k, 0)] };
        for await (const event of engine.submit(request)) if (event.kind === "token") tokens += 1;
      }),
    );
    return { seconds: (performance.now() - begun) / 1000, tokens };
  };
  await all(warming, 2);
  report(await all(prompts, given.tokens));
} else await compare();

async function startServer() {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const server = spawn(
    process.execPath,
    [main, "serve", "--model", `m=${given.model}`, "--precision", given.precision, "--port", "0"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const url = await new Promise((resolve, reject) => {
    server.on("exit", () => reject(new Error("the server ended")));
    createInterface({ input: server.stderr }).on("line", (line) => {
      if (line.includes('"listening"')) resolve(JSON.parse(line).url);
      else if (!line.includes('"answered"')) console.error(line);
    });
  });
  const end = async () => {
    server.removeAllListeners("exit");
    server.kill("SIGTERM");
    await once(server, "exit");
  };
  const post = async (body) => {
    const answer = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "m", temperature: 0.8, top_p: 0.95, ignore_eos: true, ...body }),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  };
  return { url, post, end };
}

/** All requests at once; with `stream`, as streams. */
async function served({ post }, prompts, maxTokens, stream) {
  const begun = performance.now();
  const tokens = await Promise.all(
    prompts.map(async (prompt, seed) => {
      const answer = await post({ prompt, seed, max_tokens: maxTokens, stream, stream_options: usageOf(stream) });
      if (!stream) return (await answer.json()).usage.completion_tokens;
      const events = (await answer.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
      return JSON.parse(events.at(-1).slice(6)).usage.completion_tokens;
    }),
  );
  return { seconds: (performance.now() - begun) / 1000, tokens: tokens.reduce((sum, count) => sum + count, 0) };
}
function usageOf(stream) {
  return stream ? { include_usage: true } : undefined;
}

async function compare() {
  console.log(JSON.stringify(machine()));
  const want = given.requests * given.tokens;
  const rows = { library: [], server: [], "server, streamed": [] };
  for (let round = 0; round < given.rounds; round++) {
    const args = [fileURLToPath(import.meta.url), ...toArguments({ ...given, side: "library" })];
    const server = async (stream) => {
      const one = await startServer();
      await served(one, warming, 2, stream);
      const result = await served(one, prompts, given.tokens, stream);
      await one.end();
      return result;
    };
    const sides = {
      library: () => runWorker(process.execPath, args),
      server: () => server(false),
      "server, streamed": () => server(true),
    };
    for (const [name, run] of Object.entries(sides)) {
      const { seconds, tokens } = await run();
      if (tokens !== want) throw new Error(`${name} drew ${tokens} tokens, not ${want}`);
      rows[name].push(seconds);
      console.error(`${name}: ${seconds.toFixed(2)} s`);
    }
  }
  const least = (name) => Math.min(...rows[name]);
  for (const [name, seconds] of Object.entries(rows).filter(() => given.rounds > 0))
    console.log(
      `${name.padEnd(18)} ${want} tokens in ${seconds.map((s) => s.toFixed(2)).join(", ")} s: ${(least(name) / least("library")).toFixed(3)} of the library's time`,
    );
  if (given.long > 0) await besideLong();
}

/** Gaps between the events of short streams, and answers of /health, alone and while a long prompt is computed. */
async function besideLong() {
  const server = await startServer();
  await served(server, warming, 2, false);
  const phases = { alone: phase(), beside: phase() };
  let now = phases.alone;
  const over = new AbortController();
  const streams = [1, 2, 3, 4].map(async (seed) => {
    const answer = await server.post({ prompt: ids(seed, 30), seed, max_tokens: 1500, stream: true });
    let last;
    try {
      for await (const _ of answer.body) {
        const at = performance.now();
        if (last !== undefined) now.gaps.push(at - last);
        last = at;
        if (over.signal.aborted) return;
      }
    } catch {}
  });
  const health = (async () => {
    while (!over.signal.aborted) {
      const begun = performance.now();
      await (await fetch(`${server.url}/health`)).text();
      now.health.push(performance.now() - begun);
      await sleep(20);
    }
  })();
  await sleep(5000);
  now = phases.beside;
  const begun = performance.now();
  const long = server.post({ prompt: ids(99, given.long), max_tokens: 1 }).then((answer) => answer.json());
  await sleep(200);
  const shortBegun = performance.now();
  await (await server.post({ prompt: ids(77, 30), max_tokens: 1 })).json();
  const shortSeconds = (performance.now() - shortBegun) / 1000;
  const { usage } = await long;
  const longSeconds = (performance.now() - begun) / 1000;
  over.abort();
  await Promise.all([...streams, health]);
  const show = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    return `median ${sorted[sorted.length >> 1].toFixed(0)} ms, most ${sorted.at(-1).toFixed(0)} ms (${sorted.length})`;
  };
  console.log(`a prompt of ${usage.prompt_tokens} tokens beside 4 streams: answered after ${longSeconds.toFixed(1)} s`);
  for (const [name, { gaps, health }] of Object.entries(phases))
    console.log(`${name.padEnd(18)} events of a stream ${show(gaps)} apart; /health ${show(health)}`);
  console.log(`a prompt of 30 tokens that came after it: first token after ${shortSeconds.toFixed(2)} s`);

  // Nobody is answered when it comes: the largest steps.
  const alone = performance.now();
  const first = server.post({ prompt: ids(98, given.long), max_tokens: 1 }).then((answer) => answer.json());
  await sleep(200);
  const after = performance.now();
  await (await server.post({ prompt: ids(76, 30), max_tokens: 1 })).json();
  const waited = (performance.now() - after) / 1000;
  await first;
  console.log(
    `the same with no streams: answered after ${((performance.now() - alone) / 1000).toFixed(1)} s; the short one after ${waited.toFixed(2)} s`,
  );
  await server.end();
  if (Math.max(...phases.beside.gaps) > (longSeconds * 1000) / 2) {
    console.error("a stream stood still while a long prompt was computed");
    process.exitCode = 1;
  }
}
function phase() {
  return { gaps: [], health: [] };
}
