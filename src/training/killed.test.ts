import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { type ChildTraining, childWrpo, trainInChild, trainUntilKilled } from "./testing/child-training.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";

const scratch = mkdtempSync(join(tmpdir(), "amalgam-killed-"));
const model = tinyFolder("llama");
afterAll(() => {
  for (const folder of [scratch, model]) rmSync(folder, { recursive: true, force: true });
});

const kills = 20;
const rows = tinyRows(20);

/** Checkpoints and evaluations are so frequent that many a kill falls into one. */
const training = (name: string): ChildTraining => ({
  model,
  rows: rows.slice(0, 16),
  heldOut: rows.slice(16),
  objective: childWrpo,
  recipe: tinyRecipe({
    epochs: 14,
    batch_size: 2,
    checkpoint_every_steps: 2,
    keep_last: 2,
    keep_best: 2,
    held_out_share: 0.2,
    evaluate_every_steps: 5,
  }),
  folder: mkdtempSync(join(scratch, name)),
});
const steps = (16 * 14) / 2;

const weights = ({ folder }: ChildTraining) => readFileSync(join(folder, "final.safetensors"));
const figures = ({ folder }: ChildTraining) =>
  readFileSync(join(folder, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>)
    .map((line) => [line.step, line.loss, line.grad_norm, line["eval/loss"], line["eval/rewards/accuracies"]]);

test.each([1, 2])(
  "kill -9 at twenty moments, with %i threads: weights, metrics and checkpoints are those of an undisturbed training",
  async (threads) => {
    const undisturbed = training("undisturbed-");
    expect((await trainInChild(scratch, undisturbed, { threads })).lines.at(-1)).toBe(`finished after ${steps}`);
    // A line a step, and one for each evaluation: before the first step, after every fifth, after the last.
    expect(figures(undisturbed)).toHaveLength(steps + 1 + Math.ceil(steps / 5));

    const killed = training("killed-");
    let done = 0;
    for (let kill = 0; kill < kills; kill++) {
      const ended = await trainUntilKilled(scratch, killed, 6, { threads });
      expect([ended.signal, ended.lines.filter((line) => !line.startsWith("step "))]).toEqual(["SIGKILL", []]);
      done = Math.max(done, ...ended.lines.map((line) => Number(line.slice(5))));
    }
    expect(done).toBeLessThan(steps);
    const last = await trainInChild(scratch, killed, { threads });
    expect(last.lines.at(-1)).toBe(`finished after ${steps}`);
    expect(weights(killed).equals(weights(undisturbed))).toBe(true);
    expect(figures(killed)).toEqual(figures(undisturbed));
    const [left, want] = [killed, undisturbed].map(({ folder }) => readdirSync(join(folder, "checkpoints")).sort());
    expect(left).toEqual(want);
  },
  300_000,
);
