import { existsSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stageNames } from "./events.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const tiny = tinyWorld();
const watched = { held_out_share: 0.3, evaluate_every_steps: 2, micro_batch_tokens: "auto" } as const;
tiny.write({
  sft: { ...tiny.recipe.sft, ...watched, keep_last: 3 },
  wrpo: { ...tiny.recipe.wrpo!, ...watched, epochs: 8, early_stopping: { metric: "rewards/accuracies", patience: 2 } },
});
const folder = runFolder(tiny, "watched");
const paths = runPaths(folder);
const heard = hearing();
const stages = stageNames.slice(0, stageNames.indexOf("wrpo") + 1);
const work = (overrides: readonly string[] = [], listening = hearing()) =>
  withRun({ folder, recipeFile: tiny.recipeFile, overrides, heard: listening }, async (run) => {
    await runStages(run, stages);
    return run.ledger.stages.list();
  });

beforeAll(async () => {
  await work([], heard);
});
afterAll(() => tiny.remove());

describe("a run whose trainings are evaluated", () => {
  test("tells what auto comes to, once for each training, and keeps it", async () => {
    const told = heard.notices.filter((line) => line.startsWith("micro_batch_tokens: auto is "));
    expect(told).toHaveLength(2);
    expect(told[0]).toMatch(/auto is 8192 \(0\.\d\d MB a token and .* GB of memory are free\)$/);
    const again = hearing();
    await work(["wrpo.learning_rate=2e-3"], again);
    expect(again.notices.filter((line) => line.startsWith("micro_batch_tokens"))).toHaveLength(1);
    await work();
  });

  test("has the evaluations in its metrics, on prompts that are in no training row", async () => {
    const sft = jsonLines(paths.metrics("sft")).filter((line) => "eval/loss" in line);
    expect(sft.map(({ step }) => step)).toEqual(expect.arrayContaining([0, 2, 4]));
    const wrpo = jsonLines(paths.metrics("wrpo"));
    for (const name of ["eval/loss", "eval/rewards/accuracies", "eval/rewards/pivot_accuracies"])
      expect(wrpo[0]![name]).toBeTypeOf("number");
    const list = await work();
    const counts = (name: string) => list.find((stage) => stage.name === name)!.counts;
    expect(counts("sft").held_out).toBeGreaterThan(0);
    expect(counts("wrpo").held_out).toBeGreaterThan(0);
    expect(counts("wrpo").best_step).toBeGreaterThan(0);
    const selected = await withRun({ folder }, ({ ledger }) => ledger.selections.list("wrpo"));
    const usable = selected.filter(({ leftOut }) => leftOut === undefined).length;
    expect(Number(counts("wrpo").rows) + Number(counts("wrpo").held_out)).toBe(usable);
  });

  test("makes the model of the best evaluation, and keeps checkpoints only where it was asked to", async () => {
    expect(existsSync(paths.checkpoints("wrpo"))).toBe(false);
    expect(readdirSync(paths.checkpoints("sft")).sort()).toEqual(["step-00000002", "step-00000004"]);
    const last = jsonLines(paths.metrics("wrpo")).at(-1)!;
    const best = (await work()).find(({ name }) => name === "wrpo")!.counts.best_step!;
    expect(best).toBeLessThanOrEqual(last.step as number);
  });

  test("by samples: reward and tokens of what the model answers, the same for the same weights, and stopping by them", async () => {
    const set = ["evaluation_samples=2", "early_stopping.metric=reward", "early_stopping.patience=1"];
    const overrides = set.map((field) => `wrpo.${field}`);
    const listening = hearing();
    await work(overrides, listening);
    const evaluated = () => jsonLines(paths.metrics("wrpo")).filter((line) => "eval/reward" in line);
    const first = evaluated();
    expect(first.length).toBeGreaterThan(1);
    for (const line of first) {
      expect(line["eval/reward"]).toBeGreaterThanOrEqual(0);
      expect(line["eval/reward"]).toBeLessThanOrEqual(1);
      expect(line["eval/response_tokens"]).toBeGreaterThan(0);
      expect(line["eval/response_tokens"]).toBeLessThanOrEqual(24);
    }
    expect(listening.notices).toContainEqual(
      expect.stringMatching(
        /^on the rows held out after step 2 of \d+: loss .*, reward of its responses [\d.]+, tokens/,
      ),
    );
    // Its rewards and their sampling decide where it ends, so they decide whether the model stands.
    const other = hearing();
    await work(["wrpo.learning_rate=1e-9", ...overrides], other);
    const still = evaluated().map((line) => [line["eval/reward"], line["eval/response_tokens"]]);
    expect(still[1]).toEqual(still[0]);
    expect(still[0]).toEqual([first[0]!["eval/reward"], first[0]!["eval/response_tokens"]]);
    await work();
  });

  test("goes on where nothing that decides the weights was changed", async () => {
    const again = hearing();
    await work(
      ["wrpo.keep_best=2", "sft.keep_last=1", "wrpo.max_skipped_steps=9", "sft.evaluate_every_steps=3"],
      again,
    );
    expect(again.finished.filter(([, skipped]) => !skipped)).toEqual([]);
    const other = hearing();
    await work(["wrpo.held_out_share=0.5"], other);
    expect(other.finished.filter(([, skipped]) => !skipped).map(([name]) => name)).toEqual(["wrpo"]);
  });

  test("shows memory, tokens and the share of the matrix rate as it goes", () => {
    const steps = heard.progress.filter(({ unit }) => unit === "steps");
    for (const { figures } of steps) {
      expect(Object.keys(figures!)).toEqual(expect.arrayContaining(["loss", "tokens/s", "of the GEMM rate", "GB"]));
      expect(figures!["of the GEMM rate"]!).toBeGreaterThan(0);
      expect(figures!["of the GEMM rate"]!).toBeLessThan(1);
    }
    expect(Math.min(...jsonLines(paths.metrics("sft")).flatMap((line) => (line.seconds_left as number) ?? []))).toBe(0);
  });
});
