// Seconds to sample 4 responses of exactly 64 tokens to each of the 64 prompts of bench/fixtures/quads.jsonl, temperature
// 0.8, top-p 0.95; nothing ends a response early, so that both sides make equally many tokens.
//   node bench/generation.mjs --model FOLDER [--precision fp32|bf16] [--prompts 64] [--responses 4] [--tokens 64]
import { generate, randomStream } from "amalgam/generation";
import { tokenisedQuadruples } from "./lib/data.mjs";
import { options } from "./lib/options.mjs";
import { openWorkerModel, report, timed } from "./lib/worker.mjs";

const {
  model: folder,
  precision,
  prompts,
  responses,
  tokens,
  repeats,
  rows,
} = options({
  model: "",
  precision: "fp32",
  prompts: 64,
  responses: 4,
  tokens: 64,
  repeats: 1,
  // 0: as the product chooses.
  rows: 0,
});
const model = await openWorkerModel(folder, precision);
const bundles = await tokenisedQuadruples(model.tokenizer, prompts);

async function sample(bundlesTaken, maxTokens, seed) {
  const requests = bundlesTaken.map(({ id, prompt }) => ({
    prompt,
    streams: Array.from({ length: responses }, (_, index) => randomStream(seed, id, "bench", index)),
    sampler: { temperature: 0.8, topP: 0.95, topK: 0 },
    endIds: new Set(),
    maxTokens,
  }));
  const ids = [];
  for await (const made of generate(model.decoder, requests, rows > 0 ? { rows } : {})) ids.push(made.ids);
  return ids;
}

await sample(bundles.slice(0, 2), Math.min(8, tokens), 0);
const samples = [];
for (let repeat = 1; repeat <= repeats; repeat++) {
  const { seconds, cpuSeconds, result } = await timed(() => sample(bundles, tokens, repeat));
  const made = result.reduce((sum, ids) => sum + ids.length, 0);
  samples.push({
    seconds,
    cpuSeconds,
    tokens: made,
    responses: result.length,
    distinct: new Set(result.map((ids) => ids.join())).size,
  });
}
report({ samples });
