import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { disposeModel, loadFiles, readModelFiles } from "../models/index.ts";
import { readQuadruples } from "../preferences/index.ts";
import { batchTokenLogProbs, packBundles } from "../scoring/index.ts";
import { noGrad, scope, toNumbers } from "../torch/index.ts";
import { doneStages, nextCommand } from "./commands.ts";
import { latestComparison } from "./evaluating.ts";
import { stageNames } from "./events.ts";
import { logProbInputs } from "./log-prob-evaluation.ts";
import { type LogProbSummary, readLogProbs } from "./report/log-probs.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { hearing, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
const folders = { tuned: runFolder(world, "tuned"), untuned: runFolder(world, "untuned") };
const off = ["sft.enabled=false"];
const heard = hearing();

/** Runs the whole of a recipe. */
const whole = (folder: string, overrides: readonly string[], listening = hearing()) =>
  withRun(
    { folder, recipeFile: world.recipeFile, overrides: [...overrides, "evaluation.log_probs=true"], heard: listening },
    (run) => runStages(run, stageNames),
  );

beforeAll(async () => {
  await whole(folders.tuned, []);
  await whole(folders.untuned, off, heard);
});
afterAll(() => world.remove());

const summaryOf = (folder: string) =>
  withRun({ folder }, async ({ ledger }) => (await readLogProbs(ledger, (await ledger.meta.get(logProbInputs))!))!);

/** Mean over the quadruples of the mean token log-prob of each response, one response at a time. */
async function plainMeans(folder: string, modelFolder: string): Promise<number[]> {
  const files = await readModelFiles(modelFolder, "model");
  const model = loadFiles(files, { precision: "fp32", device: "cpu" });
  const sums = [0, 0, 0];
  let rows = 0;
  for (const { messages, sourceChosen, targetChosen, rejected } of await readQuadruples(runPaths(folder).quadruples)) {
    rows += 1;
    for (const [role, text] of [sourceChosen, targetChosen, rejected].entries()) {
      const bundle = {
        prompt: files.tokenizer.encodePrompt(messages),
        responses: [files.tokenizer.encodeResponse(text)],
      };
      const values = noGrad(() => scope(() => toNumbers(batchTokenLogProbs(model.decoder, packBundles([bundle])))));
      sums[role]! += values.reduce((sum, value) => sum + value, 0) / values.length;
    }
  }
  disposeModel(model);
  return sums.map((sum) => sum / rows);
}

const meansOf = (summary: LogProbSummary, label: string) => {
  const { roles } = summary.models.find((model) => model.label === label)!;
  return [roles.source_chosen!.mean, roles.target_chosen!.mean, roles.rejected!.mean];
};

describe("sft.enabled: false", () => {
  test("leaves WRPO the prompts that it has with supervised tuning, and no other prompt is asked for", async () => {
    const prompts = (folder: string) => withRun({ folder }, ({ ledger }) => ledger.prompts.list());
    const [tuned, untuned] = [await prompts(folders.tuned), await prompts(folders.untuned)];
    expect(untuned).toEqual(tuned.filter(({ split }) => split !== "sft"));
    const { draws, prompts: counts } = await runStatus(folders.untuned);
    expect(counts).toEqual({ sft: 0, wrpo: 8, evaluation: 6 });
    expect(draws.map(({ stage, source, done }) => [stage, source, done])).toEqual([
      ["evaluation/untuned", "target", 12],
      ["evaluation/wrpo", "target", 12],
      ...["gemma", "llama", "qwen"].map((source) => ["sources", source, 24]),
      ["target", "target", 24],
    ]);
  });

  test("starts from the target as it is: no tuned model, and its two stages are off, not open", async () => {
    expect(existsSync(runPaths(folders.untuned).sftModel)).toBe(false);
    const { stages, tunedModel } = await runStatus(folders.untuned);
    expect(tunedModel).toBeUndefined();
    expect(stages.filter(({ state }) => state === "off").map(({ stage }) => stage)).toEqual(["select_sft", "sft"]);
    expect(heard.finished.map(([stage]) => stage)).toEqual(
      stageNames.filter((name) => name !== "select_sft" && name !== "sft"),
    );
    expect(heard.notices).toContainEqual(expect.stringContaining("WRPO starts from the target as it is"));
    await withRun({ folder: folders.untuned }, async (run) => {
      expect(nextCommand(await doneStages(run))).toBeUndefined();
      expect((await latestComparison(run))!.models.map(({ label }) => label)).toEqual(["untuned", "wrpo"]);
    });
    const page = readFileSync(runPaths(folders.untuned).report, "utf8");
    expect(page).not.toMatch(/after SFT|Not yet/);
    expect(page).toContain("No supervised tuning");
  });

  test("a run that goes over to it and back has both ways right", async () => {
    const folder = runFolder(world, "over");
    await whole(folder, []);
    await whole(folder, off);
    const { draws, selections, stages } = await runStatus(folder);
    expect(draws.some(({ stage }) => stage === "evaluation/sft")).toBe(false);
    expect(selections.sft).toBeNull();
    expect(stages.filter(({ state }) => state === "off")).toHaveLength(2);
    const fused = (run: string) => readFileSync(`${runPaths(run).fusedModel}/model.safetensors`);
    expect(fused(folder).equals(fused(folders.untuned))).toBe(true);
    await whole(folder, []);
    expect((await runStatus(folder)).stages.every(({ state }) => state === "done")).toBe(true);
    expect(fused(folder).equals(fused(folders.tuned))).toBe(true);
  });

  test("a share of 0 gives all prompts to WRPO, and is refused with supervised tuning", async () => {
    const folder = runFolder(world, "share");
    const { prompts } = await withRun(
      { folder, recipeFile: world.recipeFile, overrides: [...off, "selection.sft_share=0"] },
      () => runStatus(folder),
    );
    expect(prompts).toEqual({ sft: 0, wrpo: 12, evaluation: 6 });
    await expect(
      withRun({ folder, recipeFile: world.recipeFile, overrides: ["selection.sft_share=0"] }, async () => {}),
    ).rejects.toThrow("leaves no prompt for supervised tuning");
  });
});

describe("evaluation.log_probs", () => {
  test("are those of each response by itself, under each model", async () => {
    const [tuned, untuned] = [await summaryOf(folders.tuned), await summaryOf(folders.untuned)];
    expect(tuned.models.map(({ label }) => label)).toEqual(["untuned", "sft", "wrpo"]);
    expect(untuned.models.map(({ label }) => label)).toEqual(["untuned", "wrpo"]);
    const places = {
      untuned: world.models.llama,
      sft: runPaths(folders.tuned).sftModel,
      wrpo: runPaths(folders.tuned).fusedModel,
    };
    for (const [label, model] of Object.entries(places)) {
      const expected = await plainMeans(folders.tuned, model);
      for (const [role, mean] of meansOf(tuned, label).entries()) expect(mean).toBeCloseTo(expected[role]!, 5);
    }
    // Tuned on the sources' best responses to other prompts, the target finds those to these prompts more probable.
    expect(meansOf(tuned, "sft")[0]).toBeGreaterThan(meansOf(tuned, "untuned")[0]!);
    for (const { roles } of tuned.models)
      for (const { responses, histogram } of Object.values(roles))
        expect(histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(responses);
  });

  test("stand in the report, and are not computed twice", async () => {
    expect(readFileSync(runPaths(folders.tuned).report, "utf8")).toContain("How probable the responses are");
    const again = hearing();
    await whole(folders.tuned, [], again);
    expect(again.progress).toEqual([]);
    expect(again.finished.every(([, skipped]) => skipped)).toBe(true);
  });
});
