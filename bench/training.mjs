// Seconds of WRPO steps on the rows of bench/fixtures/quads.jsonl, by the training of the product: 8 rows a step, the
// reference's log-probs computed beforehand and cached. A worker of `run.mjs`, and runs alone:
//   node bench/training.mjs --model FOLDER [--precision fp32|bf16] [--rows 8] [--steps 2] [--micro-batch-tokens 2048] [--lora-rank 0] [--profile FILE]
import { createAdapters } from "amalgam/models";
import { wrpo } from "amalgam/objectives";
import { recipeSchema } from "amalgam/schema";
import { flopCounter, preferenceTask, train, withReference } from "amalgam/training";
import { tokenisedQuadruples } from "./lib/data.mjs";
import { options } from "./lib/options.mjs";
import { openWorkerModel, report, timed } from "./lib/worker.mjs";

const {
  model: folder,
  precision,
  rows: rowsPerStep,
  steps,
  ...asked
} = options({
  model: "",
  precision: "fp32",
  rows: 8,
  steps: 2,
  "micro-batch-tokens": 2048,
  "activation-checkpointing": false,
  "lora-rank": 0,
  profile: "",
});
const microBatchTokens = asked["micro-batch-tokens"];
const rank = asked["lora-rank"];
// Weights that are trained are fp32 in either precision; it is the compute type.
const model = await openWorkerModel(folder, rank === 0 ? "fp32" : precision);
const dtype = precision === "bf16" ? "bfloat16" : "float32";
const rows = await tokenisedQuadruples(model.tokenizer, rowsPerStep * steps);

const kept = new Map();
const place = (key) => JSON.stringify([key.promptTokens, key.response]);
const cache = {
  get: async (keys) => keys.map((key) => kept.get(place(key))),
  add: async (entries) => {
    for (const entry of entries) kept.set(place(entry), { logp: entry.logp });
  },
};
const reference = await timed(() =>
  withReference(model, rows, cache, { microBatchTokens, dtype, signal: new AbortController().signal }),
);

const recipe = recipeSchema.shape.sft.parse({
  learning_rate: 3e-7,
  batch_size: rowsPerStep,
  micro_batch_tokens: microBatchTokens,
  schedule: "constant",
  warmup_ratio: 0,
  overlong: "error",
  precision,
  activation_checkpointing: asked["activation-checkpointing"] ? "layer" : "none",
  checkpoint_every_steps: steps,
  ...(rank === 0 ? {} : { lora: { rank } }),
});
const { lora } = recipe;
const decoder =
  lora === undefined
    ? model.decoder
    : { ...model.decoder, adapters: createAdapters(model.decoder, lora.target_modules, lora, 0) };
const objective = wrpo({ beta: 0.01, alpha: 0.05, alphaSchedule: "static", labelSmoothing: 0 });
const flops = flopCounter(model.decoder.config);
const samples = [];
await train(decoder, preferenceTask(reference.result, objective), {
  recipe,
  seed: 0,
  order: "given",
  dtype,
  inputs: "bench",
  ...(asked.profile === "" ? {} : { profile: asked.profile }),
  onNotice: (line) => console.error(line),
  onStep: (metrics) => {
    const bundles = rows.slice(samples.length * rowsPerStep, (samples.length + 1) * rowsPerStep);
    samples.push({
      seconds: metrics.seconds,
      loss: metrics.loss,
      gradNorm: metrics.grad_norm,
      logps: [metrics["logps/source_chosen"], metrics["logps/target_chosen"], metrics["logps/rejected"]],
      ...flops(bundles),
    });
  },
});
report({ samples, once: reference.seconds / steps });
