import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Decoder } from "../models/index.ts";
import { tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { wrpo } from "../objectives/index.ts";
import { toNumbers } from "../torch/index.ts";
import { bestSteps, isStale } from "./early-stopping.ts";
import { evaluateHeldOut, holdOut, promptTokensOf } from "./held-out.ts";
import type { StepMetrics } from "./metrics.ts";
import { preferenceTask } from "./preference.ts";
import type { ReferencedRow } from "./response-table.ts";
import { packSequences, sftTask } from "./sft.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import { type ResolvedOptimisation, type TrainingOptions, type TrainingSummary, train } from "./train.ts";

const scratch = mkdtempSync(join(tmpdir(), "amalgam-held-out-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const [beta, alpha] = [0.1, 0.3];
const objective = wrpo({ beta, alpha, alphaSchedule: "linear", labelSmoothing: 0 });
const rows = tinyRows(9);

/** The same prompts, with the opposite preference: what is learned from the one is wrong for the other. */
const reversed: ReferencedRow[] = rows.map((row) => ({
  ...row,
  id: `reversed-${row.id}`,
  responses: [row.responses[2]!, row.responses[2]!, row.responses[1]!],
  reference: [row.reference[2]!, row.reference[2]!, row.reference[1]!],
}));

interface Trained {
  readonly summary: TrainingSummary;
  readonly steps: StepMetrics[];
  /** After each step told, and in the end. */
  readonly weights: string[];
  readonly end: string;
  readonly notices: string[];
  readonly lines: Record<string, number>[];
  readonly checkpoints: string[];
  readonly decoder: Decoder;
}

interface RunOptions {
  readonly heldOut?: readonly ReferencedRow[];
  /** The step after which it is stopped. */
  readonly stopAt?: number;
  readonly sampled?: TrainingOptions["sampled"];
  readonly control?: AbortController;
}

async function run(
  name: string,
  { heldOut = rows, stopAt, sampled, control = new AbortController() }: RunOptions,
  change: Partial<ResolvedOptimisation>,
): Promise<Trained> {
  const { decoder } = await tinyModel("llama");
  const held = () => JSON.stringify(toNumbers(decoder.parameters.get("model.layers.0.mlp.up_proj.weight")!));
  const [steps, weights, notices]: [StepMetrics[], string[], string[]] = [[], [], []];
  const folder = join(scratch, name);
  const summary = await train(
    decoder,
    { ...preferenceTask(rows, objective), heldOut },
    {
      recipe: tinyRecipe({ held_out_share: 0.2, learning_rate: 3e-3, epochs: 6, ...change }),
      seed: 3,
      dtype: "float32",
      inputs: "tiny",
      checkpoints: join(folder, "checkpoints"),
      metrics: join(folder, "metrics.jsonl"),
      signal: control.signal,
      onStep(metrics) {
        steps.push(metrics);
        weights.push(held());
        if (metrics.step === stopAt) control.abort();
      },
      onNotice: (line) => notices.push(line),
      ...(sampled === undefined ? {} : { sampled }),
    },
  );
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  return {
    ...{ summary, steps, weights, notices, end: held(), decoder },
    lines: lines.map((line) => JSON.parse(line) as Record<string, number>),
    checkpoints: existsSync(join(folder, "checkpoints")) ? readdirSync(join(folder, "checkpoints")).sort() : [],
  };
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;

test("at step 0: loss and accuracies of transformers' log-probs, by the formulas, with alpha at its end", async () => {
  const bundles = tinyFigures("llama").bundles.filter(({ responses }) => responses.length === 3);
  const heldOut = bundles.map(({ prompt, responses }, k) => ({
    id: `truth-${k}`,
    prompt,
    responses: responses.map(({ ids }) => ids),
    reference: responses.map(({ logps }, r) => sum(logps) + [2, -3, 1][(r + k) % 3]!),
  }));
  const rewards = bundles.map(({ responses }, k) => responses.map((_, r) => -beta * [2, -3, 1][(r + k) % 3]!));
  const margins = rewards.map(([ws, wt, l]) => alpha * ws! + (1 - alpha) * wt! - l!);
  const { lines } = await run("truth", { heldOut, stopAt: 1 }, { evaluate_every_steps: 1, micro_batch_tokens: 16 });
  expect(lines[0]!.step).toBe(0);
  expect(lines[0]!["eval/loss"]).toBeCloseTo(mean(margins.map((h) => Math.log1p(Math.exp(-h)))), 4);
  expect(lines[0]!["eval/rewards/accuracies"]).toBeCloseTo(mean(margins.map((h) => Number(h > 0))), 6);
  expect(lines[0]!["eval/rewards/margins"]).toBeCloseTo(mean(margins), 4);
  expect(lines[0]).toHaveProperty("eval/rewards/pivot_accuracies");
  expect(lines[0]).not.toHaveProperty("loss");
});

test("every so many steps and at the end, in lines of their own; what is learned holds for like rows", async () => {
  const { lines, steps, weights } = await run("often", {}, { evaluate_every_steps: 4, epochs: 4 });
  const evaluated = lines.filter((line) => "eval/loss" in line);
  expect(evaluated.map(({ step }) => step)).toEqual([0, 4, 8, 12]);
  expect(evaluated.at(-1)!["eval/loss"]!).toBeLessThan(evaluated[0]!["eval/loss"]! - 0.1);
  expect(evaluated.at(-1)!["eval/rewards/accuracies"]!).toBeGreaterThan(evaluated[0]!["eval/rewards/accuracies"]!);
  // It changes nothing of the training.
  const { decoder } = await tinyModel("llama");
  const plain: StepMetrics[] = [];
  await train(decoder, preferenceTask(rows, objective), {
    recipe: tinyRecipe({ learning_rate: 3e-3, epochs: 4 }),
    ...{ seed: 3, dtype: "float32", inputs: "tiny", onStep: (metrics) => plain.push(metrics) },
  });
  expect(steps.map(({ loss, grad_norm }) => [loss, grad_norm])).toEqual(
    plain.map(({ loss, grad_norm }) => [loss, grad_norm]),
  );
  expect(JSON.stringify(toNumbers(decoder.parameters.get("model.layers.0.mlp.up_proj.weight")!))).toBe(weights.at(-1));
});

test("supervised tuning has the loss of a token", async () => {
  const bundle = tinyFigures("llama").bundles.filter(({ responses }) => responses.length === 3)[0]!;
  const { decoder } = await tinyModel("llama");
  const texts = rows.map(({ id, prompt, responses }) => ({ id, prompt, responses: [responses[0]!] }));
  const heldOut = packSequences(
    [{ id: "truth", prompt: bundle.prompt, responses: bundle.responses.map(({ ids }) => ids) }],
    9,
  );
  const metrics = join(scratch, "sft.jsonl");
  await train(
    decoder,
    { ...sftTask(packSequences(texts, 60)), heldOut },
    {
      recipe: tinyRecipe({ held_out_share: 0.1 }),
      ...{ seed: 1, dtype: "float32", inputs: "tiny", metrics },
    },
  );
  const [first] = readFileSync(metrics, "utf8").split("\n");
  expect((JSON.parse(first!) as Record<string, number>)["eval/loss"]).toBeCloseTo(
    -mean(bundle.responses.flatMap(({ logps }) => logps)),
    4,
  );
});

describe("early stopping", () => {
  const stopping = { evaluate_every_steps: 2, early_stopping: { metric: "loss", patience: 3, min_delta: 0 } } as const;

  test("ends after so many evaluations that were no better, with the weights of the best", async () => {
    const { summary, weights, end, notices, lines, checkpoints } = await run("stops", { heldOut: reversed }, stopping);
    expect(summary).toMatchObject({ steps: 8, totalSteps: 18, skipped: 0, finished: true, best: 2 });
    expect(end).toBe(weights[1]);
    expect(notices).toEqual(["stopped early after step 8 of 18: loss was best after step 2"]);
    const losses = lines.flatMap((line) => (line.step! > 0 ? (line["eval/loss"] ?? []) : []));
    expect(losses).toEqual([...losses].sort((a, b) => a - b));
    expect(checkpoints).toContain("step-00000002");
  });

  test("ends at the best, too, where the last step comes first, and not early where all is getting better", async () => {
    const worse = await run("worse", { heldOut: reversed }, { ...stopping, epochs: 2 });
    expect([worse.summary.steps, worse.summary.best, worse.end]).toEqual([6, 2, worse.weights[1]]);
    const better = await run("better", {}, stopping);
    expect([better.summary.steps, better.summary.best, better.end]).toEqual([18, 18, better.weights.at(-1)]);
  });

  describe("with averaged weights", () => {
    const decay = 0.6;
    const flat = (text: string) => JSON.parse(text) as number[];
    /** By hand, from the weights of each step of a training without averages: which they don't change. */
    async function averages(): Promise<number[][]> {
      const { weights } = await run("ema-plain", {}, { epochs: 6 });
      const { decoder } = await tinyModel("llama");
      const start = toNumbers(decoder.parameters.get("model.layers.0.mlp.up_proj.weight")!);
      const all = [start];
      for (const text of weights) all.push(flat(text).map((value, k) => decay * all.at(-1)![k]! + (1 - decay) * value));
      return all;
    }
    const expectClose = (got: readonly number[], want: readonly number[]) => {
      for (const [k, value] of got.entries()) expect(Math.abs(value - want[k]!)).toBeLessThan(1e-6);
    };

    test("the averages are what is evaluated, stopped by, and in the model in the end", async () => {
      const want = await averages();
      const stopped = await run("ema", { heldOut: reversed }, { ...stopping, ema_decay: decay });
      expect(stopped.summary.best).toBe(2);
      expectClose(flat(stopped.end), want[2]!);
      const whole = await run("ema-whole", {}, { evaluate_every_steps: 9, ema_decay: decay });
      expectClose(flat(whole.end), want[18]!);
      // What stands in the model in the end is what the last evaluation looked at; the policy itself is ahead of it.
      const plain = await run("ema-ahead", {}, { evaluate_every_steps: 9 });
      const last = (lines: typeof whole.lines) => lines.findLast((line) => "eval/loss" in line)!["eval/loss"]!;
      expect(Math.abs(last(whole.lines) - last(plain.lines))).toBeGreaterThan(1e-3);
      const evaluated = await evaluateHeldOut(
        whole.decoder,
        { ...preferenceTask(rows, objective), heldOut: rows },
        64,
        {
          dtype: "float32",
        },
      );
      expect(evaluated!["eval/loss"]).toBeCloseTo(last(whole.lines), 6);
      expect(whole.steps.map(({ loss }) => loss)).toEqual(plain.steps.map(({ loss }) => loss));
    });

    test("keep_best goes by them, and a training that was stopped goes on alike", async () => {
      const keep = { ...stopping, ema_decay: decay, keep_best: 2, keep_last: 1 };
      const want = await run("ema-kept", { heldOut: reversed }, keep);
      await run("ema-halves", { heldOut: reversed, stopAt: 5 }, keep);
      const { summary, end, checkpoints } = await run("ema-halves", { heldOut: reversed }, keep);
      expect(summary).toEqual(want.summary);
      expect(end === want.end).toBe(true);
      for (const name of want.checkpoints) expect(checkpoints).toContain(name);
    });
  });

  test.each([1, 2, 3, 7])("goes on alike after a stop in step %i", async (stopAt) => {
    const want = await run(`whole-${stopAt}`, { heldOut: reversed }, stopping);
    await run(`halves-${stopAt}`, { heldOut: reversed, stopAt }, stopping);
    const { summary, end, lines } = await run(`halves-${stopAt}`, { heldOut: reversed }, stopping);
    expect([summary, end]).toEqual([want.summary, want.end]);
    expect(lines.map((line) => [line.step, line["eval/loss"]])).toEqual(
      want.lines.map((line) => [line.step, line["eval/loss"]]),
    );
  });

  test("by a figure of which more is better; one that no evaluation has is refused before the first step", async () => {
    const by = (metric: string) => ({ ...stopping, early_stopping: { ...stopping.early_stopping, metric } });
    const { summary, lines } = await run("margins", { heldOut: reversed }, by("rewards/margins"));
    expect([summary.best, summary.steps]).toEqual([2, 8]);
    expect(lines.at(-1)!["eval/rewards/margins"]!).toBeLessThan(
      lines.find(({ step }) => step === 0)!["eval/rewards/margins"]!,
    );
    await expect(run("unknown", {}, by("reward"))).rejects.toThrow(/no evaluation gives reward/);
  });

  test("by what is sampled; responses that grow are told once", async () => {
    const rewards = [0.5, 0.6, 0.7, 0.6, 0.7, 0.7];
    const tokens = [100, 149, 151, 170, 149, 160];
    let asked = -1;
    const sampled = async () => {
      asked += 1;
      return { reward: rewards[asked]!, response_tokens: tokens[asked]! };
    };
    const { summary, notices, lines } = await run(
      "sampled",
      { sampled },
      {
        ...stopping,
        early_stopping: { metric: "reward", patience: 3, min_delta: 0.05 },
      },
    );
    expect(summary).toMatchObject({ steps: 10, best: 4 });
    expect(lines.flatMap((line) => line["eval/reward"] ?? [])).toEqual(rewards);
    expect(notices).toEqual([
      "responses grow: 151 tokens on average after step 4, 100 after step 0",
      "responses grow: 160 tokens on average after step 10, 100 after step 0",
      "stopped early after step 10 of 18: reward was best after step 4",
    ]);
  });

  test("a stop in an evaluation loses nothing of the step before it", async () => {
    const control = new AbortController();
    const sampled = async () => ({ reward: 1 });
    const want = await run("kept-whole", { heldOut: reversed, sampled }, stopping);
    let asked = 0;
    const stopped = await run(
      "kept-halves",
      {
        heldOut: reversed,
        control,
        async sampled() {
          asked += 1;
          if (asked === 3) control.abort();
          return { reward: 1 };
        },
      },
      stopping,
    );
    expect([stopped.summary.finished, stopped.checkpoints.at(-1)]).toEqual([false, "step-00000004"]);
    expect(stopped.lines.at(-1)).toMatchObject({ step: 4, loss: expect.any(Number) });
    const rest = await run("kept-halves", { heldOut: reversed, sampled }, stopping);
    expect([rest.steps[0]!.step, rest.summary, rest.end]).toEqual([5, want.summary, want.end]);
    expect(rest.lines.map((line) => [line.step, line["eval/loss"]])).toEqual(
      want.lines.map((line) => [line.step, line["eval/loss"]]),
    );
  });

  test("without rows held out, or without checkpoints, is refused", async () => {
    await expect(run("blind", { heldOut: [] }, stopping)).rejects.toThrow(/need rows that are held out/);
    const { decoder } = await tinyModel("llama");
    const given = {
      seed: 1,
      dtype: "float32",
      inputs: "tiny",
      recipe: tinyRecipe({ ...stopping, held_out_share: 0.1 }),
    };
    await expect(
      train(decoder, { ...preferenceTask(rows, objective), heldOut: rows }, { ...given, dtype: "float32" }),
    ).rejects.toThrow(/need checkpoints/);
  });

  test("counts from the last improvement by more than min_delta, of losses and of figures to be large", () => {
    const of = (values: readonly number[]) =>
      values.map((value, k) => ({ step: 10 * (k + 1), "eval/loss": value, "eval/rewards/accuracies": value }));
    const baseline = { step: 0, "eval/loss": 0, "eval/rewards/accuracies": 1 };
    expect(isStale([baseline, ...of([3, 2, 1])], { metric: "loss", patience: 1, min_delta: 0 })).toBe(false);
    expect(bestSteps([baseline, ...of([3, 2])], "loss", 1)).toEqual([20]);
    const loss = { metric: "loss", patience: 2, min_delta: 0.1 };
    expect(isStale(of([1, 0.95]), loss)).toBe(false);
    expect(isStale(of([1, 0.95, 0.91]), loss)).toBe(true);
    expect(isStale(of([1, 0.95, 0.85, 0.8]), loss)).toBe(false);
    expect(isStale(of([1, Number.NaN, Number.NaN]), loss)).toBe(true);
    expect(isStale(of([0.5, 0.6, 0.7, 0.65]), { ...loss, metric: "rewards/accuracies", min_delta: 0.01 })).toBe(false);
    expect(isStale(of([0.5, 0.7, 0.65, 0.7]), { ...loss, metric: "rewards/accuracies", min_delta: 0.01 })).toBe(true);
    expect(isStale(of([1, 1, 1]), undefined)).toBe(false);
    expect(bestSteps(of([3, 1, 2, 1, Number.NaN]), "loss", 3)).toEqual([20, 40, 30]);
    expect(bestSteps(of([3, 1, 2, 1, Number.NaN]), "rewards/accuracies", 2)).toEqual([10, 30]);
  });
});

test("keep_last and keep_best: the latest and the best stand, whatever their order", async () => {
  const keep = { evaluate_every_steps: 3, checkpoint_every_steps: 4, keep_last: 2, keep_best: 2 };
  const { checkpoints, lines } = await run("kept", { heldOut: reversed }, keep);
  const losses = lines.filter((line) => line.step! > 0 && "eval/loss" in line);
  expect(losses.map(({ step }) => step)).toEqual([3, 6, 9, 12, 15, 18]);
  expect(losses.map((line) => line["eval/loss"])).toEqual(losses.map((line) => line["eval/loss"]).sort());
  expect(checkpoints).toEqual([3, 6, 12, 16].map((step) => `step-${String(step).padStart(8, "0")}`));
  // Another training in the same place takes their room.
  const other = await run("kept", { heldOut: reversed }, { ...keep, learning_rate: 1e-3, keep_last: 1, keep_best: 0 });
  expect(other.checkpoints).toEqual(["step-00000016"]);
});

describe("rows held out", () => {
  const hold = (of: readonly (typeof many)[number][], share: number, seed: number) =>
    holdOut(of, share, seed, promptTokensOf);
  const many = Array.from({ length: 4000 }, (_, k) => ({ id: k, prompt: [k >> 1, 7] }));

  test("are about the share asked for, with no prompt on both sides, and the same whatever else is there", () => {
    const { training, heldOut } = hold(many, 0.1, 5);
    expect(training.length + heldOut.length).toBe(4000);
    expect(heldOut.length / 4000).toBeGreaterThan(0.08);
    expect(heldOut.length / 4000).toBeLessThan(0.12);
    const prompts = new Set(training.map(({ prompt }) => prompt[0]));
    expect(heldOut.some(({ prompt }) => prompts.has(prompt[0]!))).toBe(false);
    const half = hold(many.slice(0, 2000).reverse(), 0.1, 5);
    expect(half.heldOut.map(({ id }) => id).reverse()).toEqual(heldOut.map(({ id }) => id).filter((id) => id < 2000));
    expect(hold(many, 0.1, 6).heldOut).not.toEqual(heldOut);
  });

  test("are never none and never all", () => {
    const two = many.slice(0, 4);
    for (let seed = 0; seed < 50; seed++)
      for (const share of [1e-9, 0.5]) expect(hold(two, share, seed).heldOut).toHaveLength(2);
    expect(hold(many, 0, 1)).toEqual({ training: many, heldOut: [] });
    expect(() => hold(many.slice(0, 2), 0.5, 1)).toThrow(/one prompt only/);
  });
});
