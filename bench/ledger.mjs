// What the ledger costs: durable batches in, missing responses and counts out. Run after `npm run build`:
//   node bench/ledger.mjs [responses, default 200000] [characters a response, default 1500]
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLedger } from "amalgam/store";

const [total = 200_000, characters = 1500] = process.argv.slice(2).map(Number);
const n = 5;
const sources = 10;
const folder = mkdtempSync(join(tmpdir(), "ledger-bench-"));
const timed = async (what, action) => {
  const start = performance.now();
  const result = await action();
  const seconds = (performance.now() - start) / 1000;
  const memory = Math.round(process.memoryUsage.rss() / 2 ** 20);
  console.log(`${what.padEnd(44)} ${seconds.toFixed(2).padStart(8)} s  ${String(memory).padStart(6)} MiB resident`);
  return { result, seconds };
};

let ledger = await openLedger(folder);
const prompts = Array.from({ length: Math.ceil(total / n / sources) }, (_, i) => ({
  id: `prompt-${i}`,
  split: "wrpo",
  messages: [{ role: "user", content: `Question ${i}: ${"why ".repeat(50)}` }],
  checks: [],
}));
await timed(`${prompts.length} prompts`, () => ledger.prompts.replace(prompts));
const sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [], seed: 42 };
const names = Array.from({ length: sources }, (_, i) => `source-${i}`);
await ledger.responses.declare(
  "sources",
  names.map((source) => ({ source, identity: `digest of ${source}`, sampling, n, splits: ["wrpo"] })),
);

const text = "An answer has words, and lines.\n".repeat(Math.ceil(characters / 32)).slice(0, characters);
const outcome = (promptId, index) => ({
  promptId,
  index,
  text: `${promptId} ${index} ${text}`,
  finish: "stop",
  promptTokens: 60,
  responseTokens: 300,
});
for (const batchSize of [1, 16, 64, 256]) {
  const outcomes = prompts.slice(0, 400).flatMap(({ id }) => Array.from({ length: n }, (_, i) => outcome(id, i)));
  const source = names[[1, 16, 64, 256].indexOf(batchSize)];
  const { seconds } = await timed(`${outcomes.length} responses, ${batchSize} a durable batch`, async () => {
    for (let at = 0; at < outcomes.length; at += batchSize) {
      await ledger.responses.add("sources", source, outcomes.slice(at, at + batchSize));
    }
  });
  console.log(`  ${Math.round(outcomes.length / seconds)} responses/s`);
}
for (const part of [0, 1]) {
  let stored = 0;
  const { seconds } = await timed(`half ${part + 1} of the rest, 256 a durable batch`, async () => {
    for (const source of names.slice((part * sources) / 2, ((part + 1) * sources) / 2)) {
      const missing = await ledger.responses.missing("sources", source);
      let batch = [];
      for (const { promptId, indices } of missing) {
        batch.push(...indices.map((index) => outcome(promptId, index)));
        if (batch.length >= 256) {
          stored += await ledger.responses.add("sources", source, batch);
          batch = [];
        }
      }
      stored += await ledger.responses.add("sources", source, batch);
    }
  });
  console.log(`  ${Math.round(stored / seconds)} responses/s`);
}
await ledger.close();
({ result: ledger } = await timed("open again", () => openLedger(folder)));
await timed("what is missing, all sources", async () => {
  for (const source of names) {
    const missing = await ledger.responses.missing("sources", source);
    if (missing.length > 0) throw new Error(`${source} lacks responses`);
  }
});
await timed("counts of every source", () => ledger.drawStatus());
await timed("all responses read", async () => {
  for await (const response of ledger.responses.byStage("sources")) if (!response.key) throw new Error("no key");
});
await timed("all responses scored, 256 a durable batch", async () => {
  let batch = [];
  for await (const { responseKey } of ledger.scores.unscored("sources", "reward")) {
    batch.push({ responseKey, reward: "reward", value: Math.random(), parts: [] });
    if (batch.length === 256) {
      await ledger.scores.add("reward", batch);
      batch = [];
    }
  }
  await ledger.scores.add("reward", batch);
});
await timed("counts of scores", () => ledger.scoreStatus());
await ledger.close();
console.log(
  `${(statSync(join(folder, "run.db")).size / total).toFixed(0)} bytes a response of ${characters} characters`,
);
rmSync(folder, { recursive: true, force: true });
