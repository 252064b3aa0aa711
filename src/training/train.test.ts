import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { LoadedModel } from "../models/index.ts";
import { decoderIn, tinyModel } from "../models/testing/tiny-model.ts";
import { dpo, simpo, wrpo } from "../objectives/index.ts";
import { fromRecipe } from "../objectives/testing/evaluate.ts";
import { LedgerError } from "../schema/index.ts";
import { liveTensors, ops, toNumbers } from "../torch/index.ts";
import type { StepMetrics } from "./metrics.ts";
import { preferenceTask } from "./preference.ts";
import type { ReferencedRow } from "./response-table.ts";
import { packSequences, sftTask } from "./sft.ts";
import { figures } from "./testing/figures.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import { type ResolvedOptimisation, type TrainingOptions, train } from "./train.ts";

const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "linear", labelSmoothing: 0 });
const rows = tinyRows(7);
const folder = () => mkdtempSync(join(tmpdir(), "amalgam-train-"));

const options = (recipe: Partial<ResolvedOptimisation> = {}): TrainingOptions => ({
  recipe: tinyRecipe(recipe),
  seed: 3,
  dtype: "float32",
  inputs: "tiny",
});

interface Trained {
  readonly weights: Map<string, number[]>;
  readonly steps: StepMetrics[];
  readonly finished: boolean;
}

/** Trains a fresh tiny model by WRPO. */
async function run(
  given: TrainingOptions,
  { items = rows, start }: { items?: readonly ReferencedRow[]; start?: LoadedModel } = {},
): Promise<Trained> {
  const { decoder } = start ?? (await tinyModel("llama"));
  const steps: StepMetrics[] = [];
  const { finished } = await train(decoder, preferenceTask(items, objective), {
    ...given,
    onStep: (metrics, total) => {
      steps.push(metrics);
      given.onStep?.(metrics, total);
    },
  });
  return { weights: new Map([...decoder.parameters].map(([k, weight]) => [k, toNumbers(weight)])), steps, finished };
}

const lines = (file: string) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => figures(JSON.parse(line) as StepMetrics));

function largestDeviation(a: Trained, b: Trained): number {
  let worst = 0;
  for (const [name, values] of a.weights)
    for (const [k, value] of values.entries()) worst = Math.max(worst, Math.abs(value - b.weights.get(name)![k]!));
  return worst;
}

describe("the result does not depend on", () => {
  test("the tokens of a micro-batch", async () => {
    // A larger epsilon, or Adam would blow rounding up where a gradient is next to nothing.
    const of = (micro_batch_tokens: number) => run(options({ micro_batch_tokens, adam_epsilon: 1e-4 }));
    const whole = await of(4096);
    expect(whole.steps).toHaveLength(5);
    for (const budget of [16, 60]) {
      const split = await of(budget);
      expect(largestDeviation(split, whole)).toBeLessThan(1e-5);
      for (const [k, step] of split.steps.entries())
        for (const [name, value] of Object.entries(figures(step))) expect(value).toBeCloseTo(whole.steps[k]![name]!, 4);
    }
  });

  test.each(["layer", "selective"] as const)("activation checkpointing: %s, to the last bit", async (mode) => {
    const plain = await run(options());
    expect((await run(options({ activation_checkpointing: mode }))).weights).toEqual(plain.weights);
  });

  test("the run: twice the same is the same to the last bit", async () => {
    const [first, second] = [await run(options()), await run(options())];
    expect(second.weights).toEqual(first.weights);
    expect(second.steps.map(figures)).toEqual(first.steps.map(figures));
  });
});

test("metrics: the steps, the epochs, the schedule and alpha; the margins grow", async () => {
  const { steps, finished } = await run(options({ epochs: 4 }));
  expect(finished).toBe(true);
  // 28 rows in batches of 3: ten steps, one of them warm-up, the first with learning rate 0.
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(steps.at(-1)!.epoch).toBe(4);
  expect(steps[0]!.learning_rate).toBe(0);
  for (const [k, { learning_rate, cur_alpha }] of steps.slice(1).entries()) {
    expect(learning_rate).toBeCloseTo(1e-2 * 0.5 * (1 + Math.cos((Math.PI * k) / 9)), 12);
    expect(cur_alpha).toBeCloseTo((0.3 * (k + 1)) / 10, 6);
  }
  expect(steps.at(-1)!["rewards/margins"]!).toBeGreaterThan(steps[0]!["rewards/margins"]! + 1);
  expect(steps.at(-1)!.loss!).toBeLessThan(steps[0]!.loss!);
  for (const step of steps) {
    expect(step.loss).toBeGreaterThan(0);
    expect(step.grad_norm).toBeGreaterThan(0);
    expect(step["rewards/margins"]).toBeCloseTo(step["rewards/chosen"]! - step["rewards/rejected"]!, 4);
  }
});

describe("goes on to the same weights, bit for bit, and a metrics file without a gap or double", () => {
  const places = () => {
    const at = folder();
    return { checkpoints: join(at, "checkpoints"), metrics: join(at, "metrics.jsonl") };
  };
  const uninterrupted = async () => {
    const at = places();
    const trained = await run({ ...options(), ...at });
    return { ...trained, lines: lines(at.metrics) };
  };

  test.each([1, 3, 4])("after an abort in step %i", async (step) => {
    const want = await uninterrupted();
    const at = places();
    const control = new AbortController();
    const onStep = (metrics: StepMetrics) => {
      if (metrics.step === step) control.abort();
    };
    const cut = await run({ ...options(), ...at, signal: control.signal, onStep });
    expect([cut.finished, cut.steps.length]).toEqual([false, step]);
    expect(readdirSync(at.checkpoints)).toEqual([`step-0000000${step}`]);
    // Another abort at once changes nothing.
    const idle = await run({ ...options(), ...at, signal: AbortSignal.abort() });
    expect(idle.steps).toEqual([]);
    const rest = await run({ ...options(), ...at });
    expect(rest.steps.map((metrics) => metrics.step)[0]).toBe(step + 1);
    expect(rest.weights).toEqual(want.weights);
    expect(lines(at.metrics)).toEqual(want.lines);
  });

  test("after a kill, from the last checkpoint: the lines of steps done again are replaced, half a line goes", async () => {
    const want = await uninterrupted();
    const at = places();
    const every2 = options({ checkpoint_every_steps: 2 });
    const killed = run({
      ...every2,
      ...at,
      onStep: ({ step }) => {
        if (step === 3) throw new Error("killed");
      },
    });
    await expect(killed).rejects.toThrow("killed");
    expect(lines(at.metrics)).toHaveLength(3);
    appendFileSync(at.metrics, '{"step":4,"lo');
    const rest = await run({ ...every2, ...at });
    expect(rest.steps[0]!.step).toBe(3);
    expect(rest.weights).toEqual(want.weights);
    expect(lines(at.metrics)).toEqual(want.lines);
  });

  test("with another micro-batch size and checkpoint interval, but not with another learning rate or other inputs", async () => {
    const at = places();
    const control = new AbortController();
    const cut = () => run({ ...options(), ...at, signal: control.signal, onStep: () => control.abort() });
    await cut();
    const firstOf = async (given: TrainingOptions) => (await run({ ...given, ...at })).steps[0]!.step;
    expect(await firstOf(options({ micro_batch_tokens: 100, checkpoint_every_steps: 7 }))).toBe(2);
    expect(await firstOf(options({ learning_rate: 2e-2 }))).toBe(1);
    expect(await firstOf({ ...options(), inputs: "other" })).toBe(1);
    expect(await firstOf({ ...options(), seed: 4 })).toBe(1);
    expect(await firstOf({ ...options(), dtype: "bfloat16" })).toBe(1);
  });
});

test("an abort before the first step leaves the model as it was, and no checkpoint", async () => {
  const checkpoints = join(folder(), "checkpoints");
  const start = await tinyModel("llama");
  const before = new Map([...start.decoder.parameters].map(([k, weight]) => [k, toNumbers(weight)]));
  const { weights, finished } = await run({ ...options(), checkpoints, signal: AbortSignal.abort() }, { start });
  expect(finished).toBe(false);
  expect(weights).toEqual(before);
  expect(existsSync(checkpoints)).toBe(false);
});

test.each([
  ["cut off", (state: string) => writeFileSync(state, '{"step":'), "state.json"],
  ["of another form", (state: string) => writeFileSync(state, '{"step":-1}'), "state.json"],
])("a checkpoint whose state is %s is a LedgerError with its place", async (_, damage, file) => {
  const checkpoints = join(folder(), "checkpoints");
  const control = new AbortController();
  await run({ ...options(), checkpoints, signal: control.signal, onStep: () => control.abort() });
  const state = join(checkpoints, "step-00000001", file);
  damage(state);
  const error = await run({ ...options(), checkpoints }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LedgerError);
  expect((error as LedgerError).place.file).toBe(state);
  expect((error as LedgerError).hint).toMatch(/Remove the checkpoint/);
});

test("nothing to train on is refused, and weights that would round small updates away", async () => {
  await expect(run(options(), { items: [] })).rejects.toThrow(/nothing to train on/);
  const start = await tinyModel("llama");
  const rounded = { ...start, decoder: decoderIn(start.decoder, "bfloat16") };
  await expect(run(options(), { start: rounded })).rejects.toThrow(/bfloat16/);
});

test("computed in bfloat16, masters and moments stay float32, and the training goes the same way", async () => {
  const start = await tinyModel("llama");
  const checkpoints = join(folder(), "checkpoints");
  const rounded = await run({ ...options({ checkpoint_every_steps: 2 }), checkpoints, dtype: "bfloat16" }, { start });
  const exact = await run(options());
  for (const weight of start.decoder.parameters.values()) expect(weight.dtype).toBe("float32");
  expect(rounded.steps.map(({ loss }) => loss)).not.toEqual(exact.steps.map(({ loss }) => loss));
  for (const [k, { loss }] of rounded.steps.entries())
    expect(Math.abs(loss! / exact.steps[k]!.loss! - 1)).toBeLessThan(0.1);
});

test("supervised tuning lowers the loss, weighs every token alike, and packs without a trace", async () => {
  const texts = rows.map(({ id, prompt, responses }) => ({ id, prompt, responses: [responses[0]!] }));
  const tune = async (maxLength: number, batch_size: number) => {
    const { decoder } = await tinyModel("qwen2");
    const steps: StepMetrics[] = [];
    const given = { ...options({ batch_size, epochs: 6, adam_epsilon: 1e-4 }), order: "given" as const };
    await train(decoder, sftTask(packSequences(texts, maxLength)), { ...given, onStep: (step) => steps.push(step) });
    return { decoder, steps };
  };
  // All rows in one sequence, or each in its own, but all in one batch: the same mean over tokens.
  const packed = await tune(10_000, 1);
  const apart = await tune(1, rows.length);
  expect(packed.steps).toHaveLength(6);
  for (const [k, { loss }] of packed.steps.entries()) expect(apart.steps[k]!.loss!).toBeCloseTo(loss!, 4);
  for (const [name, weight] of packed.decoder.parameters)
    expect(weight.sub(apart.decoder.parameters.get(name)!).abs().max().item(), name).toBeLessThan(1e-5);
  expect(packed.steps.at(-1)!.loss!).toBeLessThan(packed.steps[0]!.loss! - 0.5);
});

test("modified losses of a pair, WPO's weights and LD-DPO's heads, don't depend on the micro-batches either", async () => {
  const objective = fromRecipe({ objective: "dpo", beta: 0.1, wpo_weighting: true, ld_alpha: 0.4 });
  const items = rows.map(({ responses, reference, ...row }) => ({
    ...row,
    responses: responses.slice(1),
    reference: reference.slice(1),
    headReference: [-5, -6],
  }));
  const of = async (micro_batch_tokens: number) => {
    const { decoder } = await tinyModel("llama");
    const steps: StepMetrics[] = [];
    const given = { ...options({ micro_batch_tokens, adam_epsilon: 1e-4 }), onStep: (s: StepMetrics) => steps.push(s) };
    await train(decoder, preferenceTask(items, objective), given);
    return { decoder, steps };
  };
  const [whole, split] = [await of(4096), await of(16)];
  for (const [name, weight] of whole.decoder.parameters)
    expect(weight.sub(split.decoder.parameters.get(name)!).abs().max().item(), name).toBeLessThan(1e-5);
  for (const [k, step] of split.steps.entries()) {
    expect(step["wpo/weights"]).toBeGreaterThan(0);
    expect(step["wpo/weights"]).toBeCloseTo(whole.steps[k]!["wpo/weights"]!, 5);
  }
  expect(() =>
    preferenceTask(
      items.map(({ headReference: _, ...row }) => row),
      objective,
    ),
  ).toThrow(/compares heads/);
});

test("rows without a reference are trained on by an objective that needs none, and refused by one that does", async () => {
  const bare = rows.map(({ reference: _, responses, ...row }) => ({ ...row, responses: responses.slice(1) }));
  const { decoder } = await tinyModel("llama");
  const steps: StepMetrics[] = [];
  const preferring = simpo({ beta: 2, gamma: 0.5, labelSmoothing: 0 });
  await train(decoder, preferenceTask(bare, preferring), {
    ...options({ epochs: 4 }),
    onStep: (step) => steps.push(step),
  });
  expect(steps.at(-1)!["rewards/margins"]!).toBeGreaterThan(steps[0]!["rewards/margins"]! + 0.5);
  expect(() => preferenceTask(bare, dpo({ beta: 0.1, labelSmoothing: 0 }))).toThrow(
    /dpo compares with a reference.*row-0/,
  );
});

test("the model is left without gradients, and a step leaves no tensor behind", async () => {
  const start = await tinyModel("llama");
  const live: number[] = [];
  await run({ ...options({ epochs: 12 }), onStep: () => live.push(liveTensors()) }, { start });
  for (const weight of start.decoder.parameters.values()) {
    expect(weight.requiresGrad).toBe(false);
    expect(weight.grad).toBeNull();
  }
  expect(live).toHaveLength(28);
  // The garbage of other tests may go meanwhile; nothing may come.
  expect(Math.max(...live.slice(5))).toBeLessThanOrEqual(live[4]!);
  expect(ops.isfinite(start.decoder.parameters.get("model.norm.weight")!).all().item()).toBe(true);
});
