// Whether the cost of a WRPO step is linear: seconds of steps with twice the rows, twice the tokens of each response and twice the
// vocabulary against the plain one, and the memory of a process over many steps.
//   node bench/linearity.mjs [--model FOLDER] [--precision fp32|bf16] [--rounds 5] [--steps 500]
// The model's layers are cut to six, its weights random: the work is the same, whatever they are.
import { findModel, parameterShapes } from "amalgam/models";
import { wrpo } from "amalgam/objectives";
import { recipeSchema } from "amalgam/schema";
import { noGrad, ops, tensorMemory } from "amalgam/torch";
import { preferenceTask, train } from "amalgam/training";
import { options } from "./lib/options.mjs";
import { least, median } from "./lib/statistics.mjs";

const { model, precision, rounds, steps } = options({
  model: "package:smollm2-135m-instruct",
  precision: "fp32",
  rounds: 5,
  steps: 500,
});
const { decoderConfig } = await findModel({ model }, { baseFolder: process.cwd() });
const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "static", labelSmoothing: 0 });

function decoderOf(vocabularySize) {
  const config = { ...decoderConfig, vocabularySize, layers: decoderConfig.layers.slice(0, 6) };
  const weights = [...parameterShapes(config)].map(([name, shape]) => [
    name,
    noGrad(() => (shape.length === 1 ? ops.ones(shape) : ops.randn(shape).mul(0.02))),
  ]);
  return { config, parameters: new Map(weights) };
}

const rowsOf = (count, responseTokens) =>
  Array.from({ length: count }, (_, row) => {
    const ids = (length, salt) => Array.from({ length }, (_, t) => 100 + ((t * 7919 + salt * 31 + row) % 900));
    const responses = [1, 2, 3].map((salt) => ids(responseTokens, salt));
    return { id: `row-${row}`, prompt: ids(90, 0), responses, reference: responses.map((y) => -9 * y.length) };
  });

/** Seconds of each of `epochs` steps on all these rows. */
async function secondsOf(decoder, rows, epochs, onStep = () => {}) {
  const recipe = recipeSchema.shape.sft.parse({
    ...{ optimiser: "sgd", momentum: 0, learning_rate: 1e-6, epochs, batch_size: rows.length, precision },
    ...{ micro_batch_tokens: 2048, schedule: "constant", warmup_ratio: 0, checkpoint_every_steps: epochs },
  });
  const seconds = [];
  await train(decoder, preferenceTask(rows, objective), {
    ...{ recipe, seed: 1, dtype: precision === "bf16" ? "bfloat16" : "float32", inputs: "linearity" },
    onStep: (metrics) => {
      seconds.push(metrics.seconds);
      onStep(seconds.length);
    },
  });
  return seconds;
}

const plain = { rows: 16, responseTokens: 200, vocabulary: 24_576 };
const cases = {
  plain,
  "twice the rows": { ...plain, rows: 32 },
  "twice the response tokens": { ...plain, responseTokens: 400 },
  "twice the vocabulary": { ...plain, vocabulary: 49_152 },
};
const timed = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
const decoders = new Map();
for (let round = 0; round < rounds; round++)
  for (const [name, { rows, responseTokens, vocabulary }] of Object.entries(cases)) {
    if (!decoders.has(vocabulary)) decoders.set(vocabulary, decoderOf(vocabulary));
    // The first step of a training makes its gradients' memory.
    timed[name].push((await secondsOf(decoders.get(vocabulary), rowsOf(rows, responseTokens), 2)).at(-1));
  }
for (const [name, seconds] of Object.entries(timed)) {
  const ratio = (of) => (of(seconds) / of(timed.plain)).toFixed(2);
  console.log(
    `${name.padEnd(26)} min ${least(seconds).toFixed(2)} s (${ratio(least)}x), median ${median(seconds).toFixed(2)} s (${ratio(median)}x)`,
  );
}

const seen = [];
await secondsOf(decoders.get(plain.vocabulary), rowsOf(2, 40), steps, (step) => {
  if (step === Math.ceil(steps / 25) || step === steps)
    seen.push({ step, resident: process.memoryUsage().rss, tensors: tensorMemory().used });
});
for (const { step, resident, tensors } of seen)
  console.log(
    `step ${step}: ${(resident / 2 ** 20).toFixed(0)} MiB resident, ${(tensors / 2 ** 20).toFixed(1)} MiB in tensors`,
  );
