import { afterAll, expect, test } from "vitest";
import { completion, sendJson } from "../sources/testing/local-server.ts";
import { serving } from "../sources/testing/serving.ts";
import { latestComparison } from "./evaluating.ts";
import { stageNames } from "./events.ts";
import { runStages } from "./stages.ts";
import { hearing, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());
const { serve } = serving();

test("a judge that compares carries a whole run; the evaluation compares with the untuned target's responses", async () => {
  // It finds the longer answer the better one, the first of two as long.
  const server = await serve(({ body }, answer) => {
    const lengths = [...body.messages[0]!.content.matchAll(/<answer \d>\n(.*?)\n<\/answer \d>/gs)].map(
      ([, text]) => text!.length,
    );
    sendJson(answer, 200, completion([JSON.stringify({ rating: lengths.indexOf(Math.max(...lengths)) + 1 })]));
  });
  world.write({
    rewards: [
      { kind: "judge", name: "j", endpoint: { url: server.url, model: "m" }, answer: "rating", compare: "pairs" },
    ],
    sampling: { n: 2, max_tokens: 12, temperature: 1, top_p: 1 },
    evaluation: { prompts: { file: "held-out.jsonl" }, k: 2, bootstrap: 200, sampling: { max_tokens: 12 } },
    sft: { enabled: false },
  });
  const heard = hearing();
  await withRun({ folder: runFolder(world, "pairs"), recipeFile: world.recipeFile, heard }, async (run) => {
    await runStages(run, stageNames);
    for await (const { responses } of run.ledger.scores.byPrompt(
      "sources",
      (await run.ledger.scoreStatus())[0]!.reward,
    )) {
      expect(responses).toHaveLength(6);
      for (const { text, value } of responses) {
        const others = responses.filter((other) => other.text !== text).map((other) => other.text.length);
        const won = others.map((length) => (length < text.length ? 1 : length === text.length ? 0.5 : 0));
        expect(value).toBeCloseTo(won.reduce<number>((sum, each) => sum + each, 0) / others.length, 12);
      }
    }
    // Against each other the untuned target's responses win half of their comparisons.
    const { models } = (await latestComparison(run))!;
    expect(models.find(({ label }) => label === "untuned")!.reward.mean).toBeCloseTo(0.5, 12);
    for (const { stage, done, total } of await run.ledger.scoreStatus()) expect([stage, done]).toEqual([stage, total]);
  });
  expect(heard.notices.some((line) => line.includes("the first place has"))).toBe(true);
});

test("a training can't be watched by it: told before anything is drawn", async () => {
  const judge = { kind: "judge", name: "j", model: world.models.llama, precision: "fp32", compare: "pairs" } as const;
  world.write({
    rewards: [judge],
    wrpo: { precision: "fp32", evaluation_samples: 1, held_out_share: 0.2 },
  });
  await withRun({ folder: runFolder(world, "watched"), recipeFile: world.recipeFile }, async (run) => {
    await expect(runStages(run, stageNames)).rejects.toThrow("tells nothing of the model");
    expect(await run.ledger.drawStatus()).toEqual([]);
  });
});
