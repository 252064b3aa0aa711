import { expect, test } from "vitest";
import { type tinyFamilies, tinyModel } from "../models/testing/tiny-model.ts";
import { wrpo } from "../objectives/index.ts";
import { bundleTokens, microBatches } from "../scoring/index.ts";
import { noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import { batchGradient } from "./gradients.ts";
import { preferenceTask } from "./preference.ts";

const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "static", labelSmoothing: 0 });

/** Rows of 100 to 900 tokens, together more than 16,000. */
const rows = Array.from({ length: 32 }, (_, k) => {
  const ids = (count: number, salt: number) =>
    Array.from({ length: count }, (_, t) => 5 + ((t * t + salt * t + k) % 290));
  const lengths = [40 + ((k * 37) % 200), 20 + ((k * 53) % 220), 20 + ((k * 71) % 220), 20 + ((k * 29) % 220)];
  const [prompt, ...responses] = lengths.map((count, salt) => ids(count, 3 * salt + 1));
  return { id: `row-${k}`, prompt: prompt!, responses, reference: [-700, -650 - k, -620] };
});

test.each(["llama", "gemma3", "mixtral"] satisfies (typeof tinyFamilies)[number][])(
  "%s: the gradient is the same with 512, 4,096 and 32,768 tokens a micro-batch",
  async (family) => {
    const { decoder } = await tinyModel(family);
    for (const weight of decoder.parameters.values()) weight.requiresGrad = true;
    const task = preferenceTask(rows, objective);
    const gradient = async (microBatchTokens: number) => {
      for (const weight of decoder.parameters.values()) weight.grad = null;
      const options = {
        trained: decoder.parameters,
        microBatchTokens,
        maxGradNorm: 1e9,
        progress: 1,
        forward: { dtype: "float32" as const },
      };
      const result = await batchGradient(decoder, task, rows, options);
      if (result.kind !== "done") throw new Error(result.kind);
      const parts = [...decoder.parameters.values()].map((weight) => weight.grad!.detach().flatten().clone());
      return { ...result, flat: noGrad(() => scope(() => ops.cat(parts))) };
    };
    const counts = [512, 4096, 32_768].map((budget) => microBatches(rows, bundleTokens, budget).length);
    expect(counts[0]!).toBeGreaterThan(25);
    expect(counts.slice(1)).toEqual([expect.closeTo(5, 0), 1]);
    const whole = await gradient(32_768);
    const norm = (x: Tensor) => x.to("float64").norm().item() as number;
    expect(norm(whole.flat)).toBeGreaterThan(1e-3);
    for (const budget of [512, 4096]) {
      const split = await gradient(budget);
      expect(norm(split.flat.sub(whole.flat)) / norm(whole.flat)).toBeLessThan(1e-5);
      expect(split.figures.loss! / whole.figures.loss!).toBeCloseTo(1, 5);
      expect(split.gradNorm / whole.gradNorm).toBeCloseTo(1, 5);
    }
  },
);
