import { expect, test } from "vitest";
import type { Decoder } from "../models/index.ts";
import { type tinyFamilies, tinyModel } from "../models/testing/tiny-model.ts";
import { fromRecipe } from "../objectives/testing/evaluate.ts";
import { microBatches } from "../scoring/index.ts";
import { noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import { batchGradient } from "./gradients.ts";
import { withMismatched } from "./mismatched.ts";
import { movingReference } from "./moving-reference.ts";
import { preferenceTask } from "./preference.ts";
import type { PreferenceRow } from "./response-table.ts";
import { packSequences, sftTask } from "./sft.ts";
import type { TrainingTask } from "./task.ts";

const budgets = [512, 4096, 32_768];

/** Prompts of 40 to 240 tokens with three responses of 20 to 240 each: rows of 100 to 900 tokens, together more than 16,000. */
const rows = Array.from({ length: 32 }, (_, k) => {
  const ids = (count: number, salt: number) =>
    Array.from({ length: count }, (_, t) => 5 + ((t * t + salt * t + k) % 290));
  const lengths = [40 + ((k * 37) % 200), 20 + ((k * 53) % 220), 20 + ((k * 71) % 220), 20 + ((k * 29) % 220)];
  const [prompt, ...responses] = lengths.map((count, salt) => ids(count, 3 * salt + 1));
  return { id: `row-${k}`, prompt: prompt!, responses: responses as [number[], number[], number[]] };
});

/** The rows with as many responses as the objective compares, with references for all of them, and of their heads. */
function rowsFor(given: object): PreferenceRow[] {
  const objective = fromRecipe(given);
  const count = objective.roles.length;
  const some = rows.map((row) => ({
    ...row,
    responses: [...row.responses.slice(3 - count), ...row.responses].slice(0, count),
  }));
  const matching = { maxLength: 2048, batchSize: rows.length, seed: 0 };
  return withMismatched({ training: some, heldOut: [] }, objective, matching).training.map((row, k) => ({
    ...row,
    reference: row.responses.map((y, r) => -6.5 * y.length + 3 * ((k + r) % 5)),
    headReference: row.responses.map((y, r) => -4 * y.length - r),
  }));
}

async function gradient<Item>(decoder: Decoder, task: TrainingTask<Item>, microBatchTokens: number) {
  for (const weight of decoder.parameters.values()) weight.grad = null;
  const forward = { dtype: "float32" as const };
  const options = { trained: decoder.parameters, microBatchTokens, maxGradNorm: 1e9, progress: 1, forward };
  const result = await batchGradient(decoder, task, task.items, options);
  if (result.kind !== "done") throw new Error(result.kind);
  const parts = [...decoder.parameters.values()].map((weight) => weight.grad!.detach().flatten().clone());
  return { ...result, flat: noGrad(() => scope(() => ops.cat(parts))) };
}

async function expectSame<Item>(decoder: Decoder, task: TrainingTask<Item>): Promise<void> {
  for (const weight of decoder.parameters.values()) weight.requiresGrad = true;
  const counts = budgets.map((budget) => microBatches(task.items, task.tokensOf, budget).length);
  expect(counts[0]!).toBeGreaterThan(3 * counts[1]!);
  expect(counts[1]!).toBeGreaterThan(2);
  expect(counts[2]!).toBeLessThan(3);
  const norm = (x: Tensor) => x.to("float64").norm().item() as number;
  const whole = await gradient(decoder, task, 32_768);
  expect(norm(whole.flat)).toBeGreaterThan(1e-3);
  for (const budget of [512, 4096]) {
    const split = await gradient(decoder, task, budget);
    expect(norm(split.flat.sub(whole.flat)) / norm(whole.flat)).toBeLessThan(1e-5);
    expect(split.gradNorm / whole.gradNorm).toBeCloseTo(1, 5);
    for (const [name, value] of Object.entries(whole.figures))
      expect(Math.abs(split.figures[name]! - value) / Math.max(1, Math.abs(value)), name).toBeLessThan(1e-5);
  }
}

const wrpo = { objective: "wrpo", beta: 0.1, alpha: 0.3, alpha_schedule: "static" };

test.each(["llama", "gemma3", "mixtral"] satisfies (typeof tinyFamilies)[number][])(
  "%s: the gradient is the same with 512, 4,096 and 32,768 tokens a micro-batch",
  async (family) => {
    const { decoder } = await tinyModel(family);
    await expectSame(decoder, preferenceTask(rowsFor(wrpo), fromRecipe(wrpo)));
  },
);

test.each([
  { objective: "wrpo_simpo" },
  { objective: "wrpo_source_rejected", beta: 0.1 },
  { objective: "dpo", beta: 0.1, ld_alpha: 0.4, wpo_weighting: true, divergence: "js" },
  { objective: "ln_dpo" },
  { objective: "orpo" },
  { objective: "rrhf", lambda: 0.1 },
  { objective: "aot" },
  { objective: "aot_unpaired" },
  { objective: "kto" },
  { objective: "bco", beta: 0.1 },
  {
    objective: "mixture",
    parts: [{ objective: "bco", beta: 0.1 }, { objective: "simpo", weight: 0.5 }, { objective: "sft" }],
  },
])("%j: the same, alone or coupled over the batch", async (given) => {
  const { decoder } = await tinyModel("llama");
  const task = preferenceTask(rowsFor(given), fromRecipe(given));
  await expectSame(decoder, task);
});

test("supervised tuning on packed sequences, and a reference that moves: the same", async () => {
  const { decoder } = await tinyModel("llama");
  const single = rows.map(({ responses, ...row }) => ({ ...row, responses: [responses[0]] }));
  await expectSame(decoder, sftTask(packSequences(single, 512)));
  const reference = movingReference((await tinyModel("qwen2")).decoder, { alpha: 0.5, everySteps: 1 });
  await expectSame(decoder, preferenceTask(rowsFor(wrpo), fromRecipe(wrpo), { reference }));
});
