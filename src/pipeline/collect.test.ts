import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readLedger } from "../store/index.ts";
import { collectRun } from "./collect.ts";
import { runCommand } from "./commands.ts";
import { type StageName, stageNames } from "./events.ts";
import { runSummary } from "./reporting.ts";
import { Interrupted, runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { hearing, promptRows, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());
const { recipeFile } = world;

const work = (folder: string, names: readonly StageName[], overrides: readonly string[] = [], heard = hearing()) =>
  withRun({ folder, recipeFile, overrides, heard }, (run) => runStages(run, names));

/** The same, stopped when so many steps of a training or responses of a source are done. */
async function stopped(folder: string, stage: StageName, at: number, overrides: readonly string[] = []) {
  const stop = new AbortController();
  const heard = hearing((progress) => progress.stage === stage && progress.done >= at && stop.abort());
  const running = withRun({ folder, recipeFile, overrides, heard, signal: stop.signal }, (run) =>
    runStages(run, [stage]),
  );
  await expect(running).rejects.toThrow(Interrupted);
}

const collect = (folder: string, dryRun = false) =>
  collectRun({ folder, dryRun, offline: true, signal: new AbortController().signal, listener: hearing().listener });

const rowsOf = ({ removed }: Awaited<ReturnType<typeof collect>>) =>
  Object.fromEntries(removed.map(({ table, rows }) => [table, rows]));

async function checkedLedger(folder: string) {
  const reader = await readLedger(folder);
  await reader.verify();
  const status = await reader.drawStatus();
  await reader.close();
  return status;
}

const through = (last: StageName) => stageNames.slice(0, stageNames.indexOf(last) + 1);

describe("gc", () => {
  const whole = runFolder(world, "whole");
  let summary = "";

  test("takes nothing from a run whose recipe has not changed, however far it is", async () => {
    for (const stage of stageNames) {
      if (stage === "sft") {
        await stopped(whole, "sft", 3);
        expect(await collect(whole)).toEqual({ removed: [], files: [] });
        expect(readdirSync(runPaths(whole).checkpoints("sft"))).toEqual(["step-00000003"]);
      }
      const heard = hearing();
      await work(whole, [stage], [], heard);
      if (stage === "sft") expect(heard.progress.find(({ unit }) => unit === "steps")!.done).toBe(4);
      expect(await collect(whole), stage).toEqual({ removed: [], files: [] });
    }
    for (const { done, total } of await checkedLedger(whole)) expect(done).toBe(total);
    summary = await withRun({ folder: whole }, runSummary);
  });

  test("takes what a changed recipe goes without, before its stages are done, and leaves what they find again", async () => {
    // The first half of the sources' responses stays, as do the models: they are there until they are made anew.
    const fewer = ["sampling.n=2", "evaluation.k=1"];
    await work(whole, [], fewer);
    const would = await collect(whole, true);
    const collected = await collect(whole);
    expect(rowsOf(would)).toEqual(rowsOf(collected));
    // 12 prompts x 3 sources, and 6 held-out ones under the untuned target; the tuned models may be those of the next run.
    expect(rowsOf(collected)).toMatchObject({ responses: 36 + 6, scores: 36 + 6 });
    const heard = hearing();
    await work(whole, through("score"), fewer, heard);
    expect(heard.finished).toEqual([
      ["sample", true],
      ["score", true],
    ]);
    await checkedLedger(whole);
    expect(rowsOf(await collect(whole))).toEqual({});

    // Who goes back has what was taken to do again, and is told so.
    await expect(withRun({ folder: whole, recipeFile }, (run) => runCommand(run, "train"))).rejects.toThrow(
      /nothing is ready/,
    );
    await work(whole, stageNames);
    for (const { done, total } of await checkedLedger(whole)) expect(done).toBe(total);
    const again = await withRun({ folder: whole }, runSummary);
    expect(again).toBe(summary);
  });

  test("takes what an interrupted run has of earlier settings, and its resume asks for nothing twice", async () => {
    const folder = runFolder(world, "interrupted");
    await work(folder, through("score"));
    const warmer = ["sampling.temperature=0.7"];
    await stopped(folder, "sample", 1, warmer);
    const had = (await checkedLedger(folder)).reduce((sum, { done }) => sum + done, 0);
    expect(had).toBeGreaterThan(0);
    expect(had).toBeLessThan(108);
    expect(rowsOf(await collect(folder))).toMatchObject({ responses: 108, scores: 108, samplers: 3 });
    const heard = hearing();
    await work(folder, through("select_sft"), warmer, heard);
    const drawn = heard.progress.filter(({ unit, done, total }) => unit === "responses" && done === total);
    expect(drawn.reduce((sum, { total }) => sum + total, 0)).toBe(108 - had);

    await stopped(folder, "sft", 3, warmer);
    const checkpoints = runPaths(folder).checkpoints("sft");
    // What a killed process leaves, and another training's checkpoint: known as such when the selection is.
    mkdirSync(join(checkpoints, "step-00000007.partial"));
    await work(folder, [], [...warmer, "rewards=[{kind: checks, weight: 2}]"]);
    expect((await collect(folder, true)).files).toEqual(["checkpoints/sft/step-00000007.partial"]);
    await work(folder, [], [...warmer, "sft.learning_rate=0.01"]);
    const stale = ["step-00000003", "step-00000007.partial"];
    expect((await collect(folder)).files).toEqual(stale.map((name) => `checkpoints/sft/${name}`));
    expect(readdirSync(checkpoints)).toEqual([]);
  });

  test("takes the responses to prompts that are gone, and every stage looks at the others again", async () => {
    writeFileSync(join(world.folder, "prompts.jsonl"), promptRows("train", 11));
    const { responses } = rowsOf(await collect(whole));
    expect(responses).toBeGreaterThanOrEqual(9);
    await expect(withRun({ folder: whole }, (run) => runCommand(run, "train"))).rejects.toThrow(/nothing is ready/);
    const heard = hearing();
    await work(whole, through("score"), [], heard);
    expect(heard.finished.map(([, skipped]) => skipped)).toEqual([true, true]);
    await checkedLedger(whole);
  });
});
