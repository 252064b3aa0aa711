// How fast responses come from a server and into the ledger, the server's own work included. Run after `npm run build`:
//   node bench/endpoint.mjs [responses, default 40000] [characters a response, default 1500] [URL of a PostgreSQL ledger]
// A server in a process of its own answers at once. Each line: calls of n responses, or one call a response; the rate is
// that of responses durably stored by `drawMissing`.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const n = 5;
const here = fileURLToPath(import.meta.url);
if (process.send !== undefined) serve();
else await measure();

function serve() {
  const characters = Number(process.argv[2]);
  const text = "An answer has words, and lines.\n".repeat(Math.ceil(characters / 32)).slice(0, characters);
  const server = createServer(async (request, answer) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { n: count = 1, seed } = JSON.parse(Buffer.concat(chunks).toString());
    const choices = Array.from({ length: count }, (_, index) => ({
      index,
      message: { role: "assistant", content: `${seed} ${index} ${text}` },
      finish_reason: "stop",
    }));
    const usage = { prompt_tokens: 60, completion_tokens: 300 * count, total_tokens: 60 + 300 * count };
    const body = JSON.stringify({ object: "chat.completion", model: "m", choices, usage });
    answer.writeHead(200, { "content-type": "application/json" }).end(body);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
}

async function measure() {
  const { drawMissing, openRun, silent } = await import("amalgam/pipeline");
  const { openEndpoint } = await import("amalgam/sources");
  const [total = 40_000, characters = 1500] = process.argv.slice(2, 4).map(Number);
  const [, , , , url] = process.argv;
  const ledger = url === undefined ? {} : { ledger: { url, schema: `bench_${process.pid}` } };
  const server = fork(here, [String(characters)]);
  const [port] = await once(server, "message");
  const folder = mkdtempSync(join(tmpdir(), "endpoint-bench-"));
  const prompts = Array.from({ length: total / n }, (_, i) => ({ prompt: `Question ${i}: ${"why ".repeat(50)}` }));
  writeFileSync(join(folder, "prompts.jsonl"), prompts.map((row) => JSON.stringify(row)).join("\n"));
  writeFileSync(join(folder, "held-out.jsonl"), JSON.stringify({ prompt: "held out" }));
  const recipe = {
    prompts: { file: "prompts.jsonl" },
    target: { model: "none" },
    sources: [{ name: "s", model: "none" }],
  };
  const rest = { rewards: [{ kind: "checks" }], evaluation: { prompts: { file: "held-out.jsonl" } } };
  writeFileSync(join(folder, "written.json"), JSON.stringify({ ...recipe, ...rest, ...ledger }));
  const run = await openRun({
    folder: join(folder, "run"),
    recipeFile: join(folder, "written.json"),
    signal: new AbortController().signal,
    listener: silent,
  });
  const { endpointSchema } = await import("amalgam/schema");
  const common = { url: `http://127.0.0.1:${port}/v1`, model: "m", concurrency: 64, timeout_seconds: 60, retries: 0 };
  const sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [], seed: 1 };
  for (const native_n of [true, false, true, false]) {
    const start = performance.now();
    const open = async () => openEndpoint("s", endpointSchema.parse({ ...common, native_n }));
    const { drawn, failed } = await drawMissing(run, {
      stage: "sample",
      label: "sources",
      draws: [
        {
          source: { name: "s", identity: `${native_n} ${start}`, embedded: false, open },
          sampling,
          n,
          splits: ["sft", "wrpo"],
        },
      ],
    });
    const seconds = (performance.now() - start) / 1000;
    const way = native_n ? `${n} responses a call` : "1 response a call";
    const memory = Math.round(process.resourceUsage().maxRSS / 1024);
    console.log(`${way}: ${Math.round(drawn / seconds)} responses/s, ${failed} failed, at most ${memory} MiB resident`);
  }
  await run.close();
  server.kill();
  rmSync(folder, { recursive: true, force: true });
}
