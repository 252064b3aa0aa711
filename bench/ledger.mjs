// What a run's ledger costs when it is large. Run after `npm run build`:
//   node bench/ledger.mjs [responses, default 200000] [characters a response, default 1500]
//   LEDGER_URL=postgresql://user@host/database node bench/ledger.mjs ...    # in a schema of that database, which stays there
// 5 responses of 10 sources to each prompt, stored in the order in which endpoints answer: all sources side by side, 320
// responses a durable commit; beside the rate stands what does not depend on what else the machine does: CPU time, and bytes written. The texts are pieces of this repository's documents. Then, in processes of their own: going
// on with the run up to where its first response is asked for, and `status`. 3200000 are the responses of the paper's run
// and take some 8 GB of the temporary folder.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openLedger as open, readLedger } from "amalgam/store";

const { LEDGER_URL: url } = process.env;
const n = 5;
const sources = Array.from({ length: 10 }, (_, i) => `source-${i}`);
const [total = 200_000, characters = 1500, part = "all", folder = mkdtempSync(join(tmpdir(), "ledger-bench-"))] =
  process.argv.slice(2).map((word) => (/^\d+$/.test(word) ? Number(word) : word));
/** PostgreSQL's schema is named after the folder: the parts of a bench find it again. */
const shared = url && {
  url_env: "LEDGER_URL",
  schema: basename(folder).toLowerCase().replaceAll(/\W/g, "_"),
  lease_seconds: 60,
};
const openLedger = (at) => open(at, url ? { shared } : {});
const prompts = Array.from({ length: total / n / sources.length }, (_, i) => ({
  id: `prompt-${i}`,
  split: "wrpo",
  messages: [{ role: "user", content: `Question ${i}: ${"why ".repeat(50)}` }],
  checks: [],
}));
const sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [], seed: 42 };
const draws = sources.map((source) => ({ source, identity: `digest of ${source}`, sampling, n, splits: ["wrpo"] }));

await { all, fill, resume, status, read }[part]();

async function timed(what, action) {
  const start = performance.now();
  await action();
  const seconds = (performance.now() - start) / 1000;
  console.log(`${what.padEnd(40)} ${seconds.toFixed(2).padStart(8)} s`);
}

function all() {
  for (const name of ["fill", "resume", "status", "read"]) {
    const words = [fileURLToPath(import.meta.url), total, characters, name, folder].map(String);
    process.stdout.write(execFileSync(process.execPath, words));
  }
  rmSync(folder, { recursive: true, force: true });
}

/** Bytes that this process has had written to disks so far, where the system tells; a server writes by itself. */
function written() {
  if (url) return undefined;
  try {
    return Number(/^write_bytes: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

function memory() {
  console.log(`  at most ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB resident`);
}

async function fill() {
  const documents = fileURLToPath(new URL("../docs/", import.meta.url));
  const corpus = readdirSync(documents)
    .filter((name) => name.endsWith(".md"))
    .map((name) => readFileSync(join(documents, name), "utf8"))
    .join("\n");
  let state = 1;
  const piece = () => {
    state = (state * 48271) % 2147483647;
    const start = state % (corpus.length - characters);
    return corpus.slice(start, start + characters);
  };
  const outcomes = (source, some) =>
    some.flatMap(({ id }) =>
      Array.from({ length: n }, (_, index) => {
        const text = `${source} ${piece()}`;
        return { promptId: id, index, text, finish: "stop", promptTokens: 60, responseTokens: 300 };
      }),
    );
  const ledger = await openLedger(folder);
  await ledger.prompts.replace(prompts);
  await ledger.responses.declare("sources", draws);
  let [stored, told, busy, computing] = [0, 0, 0, 0];
  let before = written();
  for (let at = 0; at < prompts.length; at += 64) {
    for (const source of sources) {
      const batch = outcomes(source, prompts.slice(at, at + 64));
      const [start, used] = [performance.now(), process.cpuUsage()];
      stored += await ledger.responses.add("sources", source, batch);
      busy += (performance.now() - start) / 1000;
      const { user, system } = process.cpuUsage(used);
      computing += user + system;
      // What the driver holds of a statement is let go in a turn of the event loop, which a run has between its calls.
      await new Promise((resolve) => setImmediate(resolve));
      if (stored < (told < 10_000 ? 10_000 : told + total / 10) && stored < total) continue;
      const each = (sum) => Math.round(sum / (stored - told));
      const disk = before === undefined ? "" : `, ${each(written() - before)} bytes written`;
      console.log(
        `responses ${told} to ${stored}: ${Math.round((stored - told) / busy)} a second; each ${each(computing)} us of CPU time${disk}`,
      );
      [told, busy, computing, before] = [stored, 0, 0, written()];
    }
  }
  await ledger.close();
  if (!url) console.log(`${(statSync(join(folder, "run.db")).size / stored).toFixed(0)} bytes a response`);
  memory();
}

async function resume() {
  await timed("going on: up to what each source lacks", async () => {
    const ledger = await openLedger(folder);
    await ledger.prompts.replace(prompts);
    await ledger.responses.declare("sources", draws);
    for (const source of sources) {
      if ((await ledger.responses.lacking("sources", source)) > 0) throw new Error(`${source} lacks responses`);
    }
    await ledger.close();
  });
  await timed("going on with one response more each", async () => {
    const ledger = await openLedger(folder);
    await ledger.prompts.replace(prompts);
    await ledger.responses.declare(
      "sources",
      draws.map((draw) => ({ ...draw, n: n + 1 })),
    );
    for (const source of sources) for await (const _ of ledger.responses.missing("sources", source)) break;
    await ledger.responses.declare("sources", draws);
    await ledger.close();
  });
  memory();
}

async function status() {
  await timed("counts of responses and scores", async () => {
    const reader = await readLedger(folder);
    await reader.prompts.counts();
    await reader.drawStatus();
    await reader.scoreStatus();
    await reader.close();
  });
  memory();
}

async function read() {
  const reader = await readLedger(folder);
  await timed("all responses read", async () => {
    for await (const { key } of reader.responses.byStage("sources")) if (!key) throw new Error("no key");
  });
  await reader.close();
  memory();
}
