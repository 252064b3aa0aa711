// Seconds to compute log pi(y|x) of 5 responses to each of some prompts: a row's own three of bench/fixtures/quads.jsonl,
// and the first two of the next row's.
//   node bench/scoring.mjs --model FOLDER [--precision fp32|bf16] [--prompts 16] [--micro-batch-tokens 4096]
import { batchLogProbs, bundleTokens, microBatches, packBundles } from "amalgam/scoring";
import { noGrad, scope, toNumbers } from "amalgam/torch";
import { tokenisedQuadruples } from "./lib/data.mjs";
import { scoringOptions } from "./lib/options.mjs";
import { openWorkerModel, report, timed } from "./lib/worker.mjs";

const { model: folder, precision, prompts, repeats, ...asked } = scoringOptions();
const model = await openWorkerModel(folder, precision);
const rows = await tokenisedQuadruples(model.tokenizer, 64);
const bundles = rows.slice(0, prompts).map(({ prompt, responses }, at) => ({
  prompt,
  responses: [...responses, ...rows[(at + 1) % rows.length].responses.slice(0, 2)],
}));

async function score(some) {
  const logps = [];
  for (const batch of microBatches(some, bundleTokens, asked["micro-batch-tokens"])) {
    logps.push(...noGrad(() => scope(() => toNumbers(batchLogProbs(model.decoder, packBundles(batch))))));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return logps;
}

await score([{ prompt: bundles[0].prompt, responses: [bundles[0].responses[0].slice(0, 16)] }]);
const samples = [];
for (let repeat = 0; repeat < repeats; repeat++) {
  const { seconds, result } = await timed(() => score(bundles));
  samples.push({ seconds, values: result, tokens: bundles.reduce((sum, bundle) => sum + bundleTokens(bundle), 0) });
}
report({ samples });
