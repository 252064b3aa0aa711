import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { loadFiles, readModelFiles } from "../models/index.ts";
import { testModel } from "../models/testing/test-model.ts";
import { wrpo } from "../objectives/index.ts";
import { quadrupleRowSchema } from "../schema/index.ts";
import type { StepMetrics } from "./metrics.ts";
import { preferenceTask } from "./preference.ts";
import { withReference } from "./reference.ts";
import { tokeniseRows } from "./rows.ts";
import { tinyRecipe } from "./testing/tiny-rows.ts";
import { train } from "./train.ts";

interface GoldenRow {
  readonly id: string;
  readonly prompt: number[];
  readonly responses: readonly { readonly ids: number[]; readonly logp: number }[];
}
const text = (url: string) => readFileSync(new URL(url, import.meta.url), "utf8");
// What the authors' trainer logged at each of 8 steps over 16 quadruples, and the ids that it was given.
const steps = JSON.parse(text("./fixtures/authors-trainer.json")) as StepMetrics[];
const golden = JSON.parse(text("./fixtures/golden-logps.json")) as GoldenRow[];
const quadruples = text("../preferences/fixtures/golden-quadruples.jsonl").trimEnd().split("\n");

test("eight steps of WRPO are those of the authors' trainer", { timeout: 900_000 }, async () => {
  const model = loadFiles(await readModelFiles(await testModel("smollm2"), "smollm2"), {
    precision: "fp32",
    device: "cpu",
  });
  const texts = quadruples.map((line) => {
    const { prompt_id, prompt, chosen, rejected } = quadrupleRowSchema.parse(JSON.parse(line));
    const messages = Array.isArray(prompt) ? prompt : [prompt];
    return { id: prompt_id, messages, responses: [...chosen, ...rejected].map(({ content }) => content) };
  });
  const { rows } = tokeniseRows(texts, model.tokenizer, {
    max_length: 2048,
    max_prompt_length: 1800,
    overlong: "error",
  });
  expect(rows).toEqual(
    golden.map(({ id, prompt, responses }) => ({ id, prompt, responses: responses.map(({ ids }) => ids) })),
  );

  const nothing = { get: async (keys: readonly unknown[]) => keys.map(() => undefined), add: async () => {} };
  const signal = new AbortController().signal;
  const referenced = await withReference(model, rows, nothing, { microBatchTokens: 2048, dtype: "float32", signal });
  for (const [k, { reference }] of referenced!.entries())
    for (const [r, logp] of reference.entries())
      expect(Math.abs(logp - golden[k]!.responses[r]!.logp)).toBeLessThan(1e-2);

  const objective = wrpo({ beta: 0.01, alpha: 0.1, alphaSchedule: "linear", labelSmoothing: 0 });
  const got: StepMetrics[] = [];
  await train(model.decoder, preferenceTask(referenced!, objective), {
    recipe: tinyRecipe({ learning_rate: 3e-5, epochs: 1, batch_size: 2, micro_batch_tokens: 2048, weight_decay: 0 }),
    seed: 0,
    order: "given",
    dtype: "float32",
    inputs: "golden",
    onStep: (metrics) => got.push(metrics),
  });
  expect(got).toHaveLength(8);
  for (const [k, step] of got.entries()) {
    const want = steps[k]!;
    const off = (name: string) => Math.abs(step[name]! - want[name]!);
    for (const name of ["chosen", "source_chosen", "target_chosen", "rejected", "margins"])
      expect(off(`rewards/${name}`), `rewards/${name} of step ${k + 1}`).toBeLessThan(2e-4);
    // A pivot's accuracy is not compared: the trainer compares every row's y_wt with every row's y_l.
    for (const name of ["accuracies", "source_accuracies"]) expect(off(`rewards/${name}`)).toBe(0);
    for (const name of ["chosen", "source_chosen", "target_chosen", "rejected"])
      expect(off(`logps/${name}`), `logps/${name} of step ${k + 1}`).toBeLessThan(2e-2);
    // Logged with four decimals.
    expect(off("loss")).toBeLessThan(1e-4);
    expect(Math.abs(step.grad_norm! / want.grad_norm! - 1), `gradient norm of step ${k + 1}`).toBeLessThan(1e-3);
    expect(off("cur_alpha")).toBeLessThan(1e-7);
    // The trainer logs the rate of the step to come; the first has 0.
    expect(step.learning_rate).toBeCloseTo(k === 0 ? 0 : steps[k - 1]!.learning_rate!, 12);
  }
});
