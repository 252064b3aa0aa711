import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { wrpo } from "../objectives/index.ts";
import { TrainingError } from "../schema/index.ts";
import { toNumbers } from "../torch/index.ts";
import type { StepMetrics } from "./metrics.ts";
import { preferenceTask } from "./preference.ts";
import type { ReferencedRow } from "./response-table.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import { type ResolvedOptimisation, train } from "./train.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-not-finite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "static", labelSmoothing: 0 });
const rows = tinyRows(12);
const broken = (...at: readonly number[]) =>
  rows.map((row, k) => (at.includes(k) ? { ...row, id: `broken-${k}`, reference: [0, Number.NaN, 0] } : row));

/** Trains a tiny model on rows as they stand, three a step, and looks at its weights after each step. */
async function run(items: readonly ReferencedRow[], name: string, change: Partial<ResolvedOptimisation> = {}) {
  const { decoder } = await tinyModel("llama");
  const notices: string[] = [];
  const steps: StepMetrics[] = [];
  const weights: number[][] = [];
  const summary = await train(decoder, preferenceTask(items, objective), {
    recipe: tinyRecipe({ epochs: 1, micro_batch_tokens: 16, schedule: "constant", warmup_ratio: 0, ...change }),
    seed: 1,
    order: "given",
    dtype: "float32",
    inputs: "tiny",
    checkpoints: join(folder, name, "checkpoints"),
    metrics: join(folder, name, "metrics.jsonl"),
    onStep(metrics) {
      steps.push(metrics);
      weights.push(toNumbers(decoder.parameters.get("model.layers.0.mlp.up_proj.weight")!));
    },
    onNotice: (line) => notices.push(line),
  });
  return { summary, notices, steps, weights };
}
const lines = (name: string) =>
  readFileSync(join(folder, name, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("a step whose loss is not finite", () => {
  test("changes nothing, is counted, and names the rows at fault and no others; the training goes on", async () => {
    const { summary, notices, steps, weights } = await run(broken(4), "skipped");
    expect(summary).toMatchObject({ steps: 4, skipped: 1, finished: true });
    expect(notices).toEqual(["step 2 was skipped: its loss is NaN, by broken-4"]);
    expect(weights[1]).toEqual(weights[0]);
    expect(weights[2]).not.toEqual(weights[1]);
    expect(steps.map(({ loss, skipped_steps }) => [Number.isFinite(loss), skipped_steps])).toEqual([
      [true, undefined],
      [false, 1],
      [true, 1],
      [true, 1],
    ]);
    expect(lines("skipped").map(({ step, skipped_rows }) => [step, skipped_rows])).toEqual([
      [1, undefined],
      [2, ["broken-4"]],
      [3, undefined],
      [4, undefined],
    ]);
  });

  test("is as if it had not been: AdamW's moments and count are those of the other steps", async () => {
    const skipping = await run(broken(3, 5), "with");
    const without = await run(
      rows.filter((_, k) => k < 3 || k > 5),
      "without",
    );
    expect(skipping.weights.at(-1)).toEqual(without.weights.at(-1));
  });

  test("three times in a row ends the training: every row is named, and the last good checkpoint stands", async () => {
    const failed = run(broken(3, 7, 9, 10), "ended", { checkpoint_every_steps: 1 });
    await expect(failed).rejects.toThrow(TrainingError);
    await expect(failed).rejects.toThrow(
      /not finite in 3 steps in a row; the rows at fault: step 2: broken-3; step 3: broken-7; step 4: broken-9, broken-10$/,
    );
    const error = (await failed.catch((reason: unknown) => reason)) as TrainingError;
    expect(error.hint).toMatch(/lower the learning rate.*last checkpoint from before is kept/);
    expect(readdirSync(join(folder, "ended", "checkpoints"))).toEqual(["step-00000001"]);
    // Four of the twelve rows mended, it goes on from there.
    const { steps, summary } = await run(rows, "ended", { checkpoint_every_steps: 1 });
    expect([steps[0]!.step, summary.skipped]).toEqual([2, 0]);
  });

  test("is allowed as often as the recipe says, but not in all steps", async () => {
    const { summary } = await run(broken(3, 7, 9), "allowed", { max_skipped_steps: 4 });
    expect(summary.skipped).toBe(3);
    await expect(run(broken(0, 3, 7, 9), "all", { max_skipped_steps: 9 })).rejects.toThrow(/in 4 steps in a row/);
    expect((await run(broken(0, 6), "apart", { max_skipped_steps: 2 })).summary.skipped).toBe(2);
    await expect(run(broken(0), "first", { max_skipped_steps: 1 })).rejects.toThrow(
      /in 1 step; the row.*step 1: broken-0$/,
    );
  });
});

test("a gradient that is not finite though the loss is: the same, by the norm", async () => {
  const start = await tinyModel("llama");
  // Finite logits, but their gradient overflows on the way back.
  start.decoder.parameters.get("model.layers.0.input_layernorm.weight")!.mul_(1e-30);
  start.decoder.parameters.get("model.embed_tokens.weight")!.mul_(1e-30);
  start.decoder.parameters.get("lm_head.weight")!.mul_(1e38);
  const notices: string[] = [];
  const failed = train(start.decoder, preferenceTask(rows, objective), {
    recipe: tinyRecipe({ max_skipped_steps: 1 }),
    seed: 1,
    order: "given",
    dtype: "float32",
    inputs: "tiny",
    onNotice: (line) => notices.push(line),
  });
  await expect(failed).rejects.toThrow(TrainingError);
  expect(notices).toEqual([
    expect.stringMatching(/^step 1 was skipped: its gradient's norm is (NaN|Infinity), by row-/),
  ]);
});

test("weights that are not finite any more never take the place of a good checkpoint", async () => {
  const ruined = run(rows, "ruined", { learning_rate: 1e38, checkpoint_every_steps: 1, epochs: 2 });
  await expect(ruined).rejects.toThrow(/is not finite/);
});

test("a spike of the loss is told with its rows", async () => {
  // The seventeenth step has rows whose reference makes a loss of hundreds.
  const many = Array.from({ length: 60 }, (_, k) => ({
    ...rows[k % 3]!,
    id: `row-${k}`,
    reference: Math.floor(k / 3) === 17 ? [0, 0, -9000] : rows[k % 3]!.reference,
  }));
  const { notices } = await run(many, "spike", { learning_rate: 1e-9 });
  expect(notices).toEqual([expect.stringMatching(/^the loss of step 18 is \d+.*its rows: row-51, row-52, row-53$/)]);
});
