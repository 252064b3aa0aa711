import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tinyModel } from "../models/testing/tiny-model.ts";
import type { Objective } from "../objectives/index.ts";
import { fromRecipe } from "../objectives/testing/evaluate.ts";
import { tensor, toNumbers } from "../torch/index.ts";
import type { StepMetrics } from "./metrics.ts";
import { movingReference, type ReferenceSync } from "./moving-reference.ts";
import { preferenceTask } from "./preference.ts";
import { withReference } from "./reference.ts";
import type { PreferenceRow } from "./response-table.ts";
import { figures } from "./testing/figures.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import { type TrainingOptions, train } from "./train.ts";

// What TRL 1.9's SyncRefModelCallback makes of weights in two synchronisations: bench/fixtures/modifiers_truth.py.
const { sync } = JSON.parse(
  readFileSync(new URL("../objectives/fixtures/modifiers.json", import.meta.url), "utf8"),
) as { sync: { alpha: number; before: number[]; policy: number[]; after: number[] } };

const wrpo = fromRecipe({ beta: 0.1, alpha: 0.3 });
const bare = tinyRows(7).map(({ reference: _, ...row }): PreferenceRow => row);

async function run(
  given: ReferenceSync | undefined,
  {
    budget = 4096,
    objective = wrpo,
    rows = bare,
    ...more
  }: Partial<TrainingOptions> & { budget?: number; objective?: Objective; rows?: readonly PreferenceRow[] } = {},
) {
  const { decoder } = await tinyModel("llama");
  const reference = given && movingReference(decoder, given);
  const steps: StepMetrics[] = [];
  const { finished } = await train(decoder, preferenceTask(rows, objective, { reference }), {
    recipe: tinyRecipe({ micro_batch_tokens: budget, adam_epsilon: 1e-4 }),
    seed: 3,
    dtype: "float32",
    inputs: "moving",
    onStep: (step) => steps.push(step),
    ...more,
  });
  const numbers = (weights: ReadonlyMap<string, Parameters<typeof toNumbers>[0]>) =>
    [...weights].map(([name, weight]) => [name, toNumbers(weight)] as const);
  return { policy: numbers(decoder.parameters), reference: numbers(reference?.state ?? new Map()), steps, finished };
}

test("is mixed with the policy as TRL mixes it, on the steps asked for", async () => {
  const { decoder } = await tinyModel("llama");
  const own = { ...decoder, parameters: new Map([["w", tensor(sync.before, [6], "float64")]]) };
  const reference = movingReference(own, { alpha: sync.alpha, everySteps: 4 });
  own.parameters.get("w")!.copy_(tensor(sync.policy, [6], "float64"));
  const weights = () => toNumbers(reference.state.get("w")!);
  for (const step of [1, 2, 3]) reference.stepped(step);
  expect(weights()).toEqual(sync.before);
  for (const step of [4, 5, 6, 7]) reference.stepped(step);
  expect(weights()).not.toEqual(sync.before);
  reference.stepped(8);
  for (const [k, value] of weights().entries()) expect(value).toBeCloseTo(sync.after[k]!, 14);
  reference.dispose();
});

test("that has not moved yet is the fixed one", async () => {
  const nothing = { get: async (keys: readonly unknown[]) => keys.map(() => undefined), add: async () => {} };
  const given = { microBatchTokens: 4096, dtype: "float32" as const, signal: new AbortController().signal };
  const rows = (await withReference(await tinyModel("llama"), bare, nothing, given))!;
  const [fixed, still] = [await run(undefined, { rows }), await run({ alpha: 0.6, everySteps: 100 })];
  expect(fixed.steps).toHaveLength(5);
  for (const [k, step] of still.steps.entries())
    for (const [name, value] of Object.entries(figures(step))) expect(value).toBeCloseTo(fixed.steps[k]![name]!, 4);
});

test("that becomes the policy after every step finds no reward at all", async () => {
  const { steps, policy, reference } = await run({ alpha: 1, everySteps: 1 });
  for (const step of steps) {
    expect(step.loss).toBeCloseTo(Math.LN2, 6);
    expect(step["rewards/chosen"]).toBeCloseTo(0, 6);
  }
  expect(reference).toEqual(policy);
});

describe.each([
  ["wrpo", wrpo],
  ["aot with LD, a loss of the batch", fromRecipe({ objective: "aot", ld_alpha: 0.5 })],
  ["bco", fromRecipe({ objective: "bco" })],
])("%s with one that moves", (_, objective) => {
  const rows = objective === wrpo ? bare : bare.map((row) => ({ ...row, responses: row.responses.slice(1) }));
  const every2 = { alpha: 0.6, everySteps: 2 };

  test("does not depend on the micro-batches", async () => {
    const [whole, split] = [await run(every2, { objective, rows }), await run(every2, { objective, rows, budget: 40 })];
    for (const part of ["policy", "reference"] as const)
      for (const [k, [name, values]] of split[part].entries())
        for (const [i, value] of values.entries())
          expect(Math.abs(value - whole[part][k]![1][i]!), name).toBeLessThan(1e-5);
  });

  test("goes on from a checkpoint bit for bit, with the reference as it was", async () => {
    const want = await run(every2, { objective, rows });
    const checkpoints = join(mkdtempSync(join(tmpdir(), "amalgam-moving-")), "checkpoints");
    const control = new AbortController();
    const stop = ({ step }: StepMetrics) => step === 3 && control.abort();
    const cut = await run(every2, { objective, rows, checkpoints, signal: control.signal, onStep: stop });
    expect(cut.finished).toBe(false);
    const rest = await run(every2, { objective, rows, checkpoints });
    expect(rest.steps[0]!.step).toBe(4);
    expect(rest.policy).toEqual(want.policy);
    expect(rest.reference).toEqual(want.reference);
    expect(rest.steps.map(figures)).toEqual(want.steps.slice(3).map(figures));
  });
});
