import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tinyModel } from "../models/testing/tiny-model.ts";
import type { Objective } from "../objectives/index.ts";
import { fromRecipe } from "../objectives/testing/evaluate.ts";
import { TrainingError } from "../schema/index.ts";
import { liveTensors, toNumbers } from "../torch/index.ts";
import { evaluateHeldOut } from "./held-out.ts";
import type { StepMetrics } from "./metrics.ts";
import { withMismatched } from "./mismatched.ts";
import { preferenceTask } from "./preference.ts";
import type { PreferenceRow, ReferencedRow } from "./response-table.ts";
import { figures } from "./testing/figures.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import { type TrainingOptions, train } from "./train.ts";

const objectives: [name: string, objective: Objective][] = [
  ["aot", fromRecipe({ objective: "aot" })],
  ["aot with LD", fromRecipe({ objective: "aot", ld_alpha: 0.3 })],
  ["aot_unpaired", fromRecipe({ objective: "aot_unpaired" })],
  ["kto", fromRecipe({ objective: "kto" })],
  ["bco", fromRecipe({ objective: "bco" })],
  [
    "a mixture",
    fromRecipe({
      objective: "mixture",
      parts: [{ objective: "bco" }, { objective: "dpo", wpo_weighting: true, ld_alpha: 0.5 }],
    }),
  ],
];

/** Rows of pairs, or of the one and the other response alone where the objective takes these. */
function rowsFor(objective: Objective): PreferenceRow[] {
  const rows = tinyRows(6).map(({ responses, reference, ...row }): ReferencedRow => {
    return { ...row, responses: responses.slice(1), reference: reference.slice(1) };
  });
  const some = rows.map((row, k): ReferencedRow => {
    if (!objective.unpaired || k < 2) return row;
    const kept = k % 2;
    const role = kept === 0 ? "target_chosen" : "rejected";
    return { ...row, responses: [row.responses[kept]!], reference: [row.reference[kept]!], roles: [role] };
  });
  const matching = { maxLength: 2048, batchSize: 4, seed: 3 };
  return withMismatched({ training: some, heldOut: [] }, objective, matching).training.map((row) => ({
    ...row,
    reference: row.responses.map(
      (response, r) => some.find(({ id }) => id === row.id)!.reference[r] ?? -2 * response.length,
    ),
    headReference: row.responses.map((_, r) => -3 - r),
  }));
}

async function run(objective: Objective, budget: number, more: Partial<TrainingOptions> = {}) {
  const { decoder } = await tinyModel("llama");
  const steps: StepMetrics[] = [];
  const recipe = tinyRecipe({ micro_batch_tokens: budget, batch_size: 4, adam_epsilon: 1e-4 });
  const { finished } = await train(decoder, preferenceTask(rowsFor(objective), objective), {
    recipe,
    seed: 3,
    dtype: "float32",
    inputs: objective.name,
    onStep: (step) => steps.push(step),
    ...more,
  });
  return {
    weights: [...decoder.parameters].map(([name, weight]) => [name, toNumbers(weight)] as const),
    steps,
    finished,
  };
}

describe.each(objectives)("%s", (_, objective) => {
  test("gives the same weights and figures whatever the micro-batches: one pass over the batch, or two", async () => {
    const whole = await run(objective, 1e6);
    expect(whole.steps).toHaveLength(3);
    for (const budget of [16, 120]) {
      const split = await run(objective, budget);
      for (const [k, [name, values]] of split.weights.entries())
        for (const [i, value] of values.entries())
          expect(Math.abs(value - whole.weights[k]![1][i]!), name).toBeLessThan(1e-5);
      for (const [k, step] of split.steps.entries())
        for (const [name, value] of Object.entries(figures(step)))
          expect(value, name).toBeCloseTo(figures(whole.steps[k]!)[name]!, 4);
    }
  });

  test("is evaluated on all rows held out as one batch, whatever the micro-batches, and learns nothing by it", async () => {
    const { decoder } = await tinyModel("llama");
    const heldOut = rowsFor(objective);
    const task = { ...preferenceTask(heldOut, objective), heldOut };
    const evaluated = async (budget: number) =>
      (await evaluateHeldOut(decoder, task, budget, { dtype: "float32" })) as Record<string, number>;
    const state = [...task.state!.values()].map(toNumbers);
    const [whole, split] = [await evaluated(1e6), await evaluated(16)];
    expect(Object.keys(split)).toEqual(Object.keys(whole));
    for (const [name, value] of Object.entries(whole)) expect(split[name]).toBeCloseTo(value, 4);
    expect([...task.state!.values()].map(toNumbers)).toEqual(state);
    // The mean reward so far is not moved by the rows that are evaluated on.
    if ("eval/delta" in whole) expect(whole["eval/delta"]).toBe(0);
    const parts = await Promise.all(
      heldOut.map((row) =>
        evaluateHeldOut(decoder, { ...task, heldOut: [row] }, 1e6, { dtype: "float32" }).then(
          (figures) => figures!["eval/loss"]!,
        ),
      ),
    );
    const apart = parts.reduce((sum, value) => sum + value, 0) / parts.length;
    if (/^(aot_unpaired|kto)/.test(objective.name)) expect(Math.abs(apart - whole["eval/loss"]!)).toBeGreaterThan(1e-6);
  });

  test("goes on after an abort, also amid a batch, to the same weights bit for bit", async () => {
    const want = await run(objective, 60);
    const checkpoints = join(mkdtempSync(join(tmpdir(), "amalgam-coupled-")), "checkpoints");
    const control = new AbortController();
    const cut = await run(objective, 60, {
      checkpoints,
      signal: control.signal,
      onStep: ({ step }) => {
        if (step === 2) setImmediate(() => control.abort());
      },
    });
    expect([cut.finished, cut.steps.length]).toEqual([false, 0]);
    const rest = await run(objective, 60, { checkpoints });
    expect(rest.steps.map(({ step }) => step)).toEqual([3]);
    expect(rest.weights).toEqual(want.weights);
    expect(rest.steps.map(figures)).toEqual(want.steps.slice(2).map(figures));
  });
});

test("two passes leave no tensor behind", async () => {
  const live: number[] = [];
  const objective = fromRecipe({ objective: "kto" });
  await run(objective, 60, {
    recipe: tinyRecipe({ epochs: 12, micro_batch_tokens: 60 }),
    onStep: () => live.push(liveTensors()),
  });
  expect(live.length).toBeGreaterThan(10);
  expect(Math.max(...live.slice(5))).toBeLessThanOrEqual(live[4]!);
});

test("rows that lack what the objective compares are refused", () => {
  const whole = rowsFor(fromRecipe({ objective: "aot" }));
  const refused = (objective: string, change: (row: PreferenceRow) => PreferenceRow) => {
    const task = () => preferenceTask(whole.map(change), fromRecipe({ objective }));
    expect(task).toThrow(TrainingError);
    return expect(task);
  };
  const single = (row: PreferenceRow): PreferenceRow => ({
    ...row,
    responses: row.responses.slice(0, 1),
    reference: row.reference!.slice(0, 1),
    roles: ["target_chosen"],
  });
  refused("aot", single).toThrow(/aot compares target_chosen, rejected, and the row row-0 has target_chosen$/);
  refused("bco", (row) => ({ ...single(row), roles: ["source_chosen"] })).toThrow(/has source_chosen$/);
  refused("kto", (row) => row).toThrow(/kto needs another row's responses/);
  refused("dpo", (row) => ({ ...row, responses: row.responses.slice(1) })).toThrow(/has 2 responses a row.* has 1$/);
  expect(() => preferenceTask(whole.map(single), fromRecipe({ objective: "bco" }))).not.toThrow();
});
