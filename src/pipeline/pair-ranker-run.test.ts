import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { pairRankerFolder } from "../rewards/testing/tiny-pair-ranker.ts";
import { latestComparison } from "./evaluating.ts";
import { stageNames } from "./events.ts";
import { runStages } from "./stages.ts";
import { hearing, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
const model = pairRankerFolder("buckets");
afterAll(() => {
  world.remove();
  rmSync(model, { recursive: true });
});
const rewards = [{ kind: "model", name: "pairrm", model, precision: "fp32" }] as const;

test("a reward model that compares carries a whole run; the untuned target's responses are worth 0 among themselves", async () => {
  world.write({
    rewards: [...rewards],
    sampling: { n: 2, max_tokens: 12, temperature: 1, top_p: 1 },
    evaluation: { prompts: { file: "held-out.jsonl" }, k: 2, bootstrap: 200, sampling: { max_tokens: 12 } },
    sft: { enabled: false },
  });
  const heard = hearing();
  await withRun({ folder: runFolder(world, "pairrm"), recipeFile: world.recipeFile, heard }, async (run) => {
    await runStages(run, stageNames);
    const { models } = (await latestComparison(run))!;
    expect(models.find(({ label }) => label === "untuned")!.reward.mean).toBeCloseTo(0, 12);
    for (const { stage, done, total } of await run.ledger.scoreStatus()) expect([stage, done]).toEqual([stage, total]);
  });
  expect(heard.notices.some((line) => line.startsWith("reward model pairrm: the first place has"))).toBe(true);
});

test("it can't watch a training: told before anything is drawn", async () => {
  world.write({ rewards: [...rewards], wrpo: { precision: "fp32", evaluation_samples: 1, held_out_share: 0.2 } });
  await withRun({ folder: runFolder(world, "watched by it"), recipeFile: world.recipeFile }, async (run) => {
    await expect(runStages(run, stageNames)).rejects.toMatchObject({ place: { field: "wrpo.evaluation_samples" } });
    expect(await run.ledger.drawStatus()).toEqual([]);
  });
});
