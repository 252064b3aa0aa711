// Seconds to score 5 responses to each of some prompts with a reward model: a row's own three of bench/fixtures/quads.jsonl,
// and the first two of the next row's.
//   node bench/rewards.mjs --model FOLDER [--precision fp32|bf16] [--prompts 16] [--micro-batch-tokens 4096]
import { readRewardModelFiles } from "amalgam/models";
import { readQuadruples } from "amalgam/preferences";
import { rewardModelComponent } from "amalgam/rewards";
import { rowsFile } from "./lib/data.mjs";
import { scoringOptions } from "./lib/options.mjs";
import { report, timed } from "./lib/worker.mjs";

const { model: folder, precision, prompts, repeats, ...asked } = scoringOptions();
const recipe = { name: "reward", precision, device: "cpu", overlong: "fail" };
const component = rewardModelComponent(
  await readRewardModelFiles(folder, folder),
  recipe,
  "rewards.0",
  asked["micro-batch-tokens"],
);
const rows = (await readQuadruples(rowsFile)).slice(0, 64);
const texts = rows.map(({ sourceChosen, targetChosen, rejected }) => [sourceChosen, targetChosen, rejected]);
const requests = rows.slice(0, prompts).flatMap(({ promptId, messages }, at) =>
  [...texts[at], ...texts[(at + 1) % rows.length].slice(0, 2)].map((text, k) => ({
    responseKey: `${promptId} ${k}`,
    prompt: { id: promptId, messages, checks: [] },
    text,
  })),
);

async function score(some) {
  const values = [];
  for await (const outcome of component.rate(some, new AbortController().signal)) {
    if ("failure" in outcome) throw new Error(outcome.failure);
    values[outcome.index] = outcome.parts[0].value;
  }
  return values;
}

await score([{ ...requests[0], text: "Hello" }]);
const samples = [];
for (let repeat = 0; repeat < repeats; repeat++) {
  const { seconds, result } = await timed(() => score(requests));
  samples.push({ seconds, values: result });
}
report({ samples });
