// Peak memory and seconds of a WRPO step on one long row, by its tokens: each in a process of its own.
//   node bench/long-context.mjs [--model FOLDER] [--tokens 2048,4096,8192] [--checkpointing none,selective,layer]
// A quarter of the tokens is the prompt's, a quarter each response's. SGD without momentum: no optimiser state.
import { spawnSync } from "node:child_process";
import { openModel } from "amalgam/models";
import { wrpo } from "amalgam/objectives";
import { recipeSchema } from "amalgam/schema";
import { preferenceTask, train } from "amalgam/training";
import { options } from "./lib/options.mjs";

const { model, tokens, checkpointing } = options({
  model: "package:smollm2-135m-instruct",
  tokens: "2048,4096,8192",
  checkpointing: "none,selective,layer",
});
const lengths = tokens.split(",");
const modes = checkpointing.split(",");
const gigabytes = (kilobytes) => (kilobytes / 1e6).toFixed(2);

async function step() {
  const { decoder } = await openModel({ model, precision: "fp32", device: "cpu" }, { baseFolder: process.cwd() });
  const length = Number(lengths[0]) / 4;
  const ids = (salt) => Array.from({ length }, (_, t) => 100 + ((t * 7919 + salt * 31) % 200));
  const row = { id: "long", prompt: ids(1), responses: [2, 3, 4].map(ids), reference: Array(3).fill(-9 * length) };
  const recipe = {
    ...recipeSchema.shape.sft.parse({
      ...{ optimiser: "sgd", momentum: 0, batch_size: 1, precision: "fp32", activation_checkpointing: modes[0] },
    }),
    micro_batch_tokens: 4096,
  };
  const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "static", labelSmoothing: 0 });
  const loaded = process.resourceUsage().maxRSS;
  const began = performance.now();
  await train(decoder, preferenceTask([row], objective), { recipe, seed: 1, dtype: "float32", inputs: "long" });
  const seconds = (performance.now() - began) / 1000;
  const peak = process.resourceUsage().maxRSS;
  console.log(
    `${lengths[0].padStart(6)} tokens, ${modes[0].padEnd(9)}: ${seconds.toFixed(1)} s, peak ${gigabytes(peak)} GB, ${gigabytes(loaded)} GB of it before the step`,
  );
}

if (lengths.length === 1 && modes.length === 1) await step();
else
  for (const mode of modes)
    for (const length of lengths)
      spawnSync(
        process.execPath,
        [import.meta.filename, "--model", model, "--tokens", length, "--checkpointing", mode],
        { stdio: "inherit" },
      );
