import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RecipeError } from "../schema/index.ts";
import { completion, sendJson } from "../sources/testing/local-server.ts";
import { serving } from "../sources/testing/serving.ts";
import { runStages } from "./stages.ts";
import { runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());
const { serve } = serving();

const rows = (set: string, answers: readonly (string | undefined)[]) =>
  writeFileSync(
    join(world.folder, `${set}.jsonl`),
    answers
      .map((answer, at) => `${JSON.stringify({ id: `${set}-${at}`, prompt: `${set} ${at}?`, answer })}\n`)
      .join(""),
  );

test("references of a recipe reach the judge; another one makes exactly its prompt's responses unscored", async () => {
  const shown: string[] = [];
  const server = await serve(({ body }, answer) => {
    shown.push(/<reference>\n(.*?)\n<\/reference>/s.exec(body.messages[0]!.content)![1]!);
    sendJson(answer, 200, completion([JSON.stringify({ rating: 3 })]));
  });
  const judge = { kind: "judge", name: "j", endpoint: { url: server.url, model: "m" }, answer: "rating" } as const;
  world.write({
    rewards: [{ ...judge, reference: { column: "answer" } }],
    sampling: { n: 2, max_tokens: 4, temperature: 1, top_p: 1 },
    sources: [{ name: "llama", model: world.models.llama, precision: "fp32" }],
  });
  rows("held-out", ["h"]);
  const score = (stages: ("sample" | "score")[]) => {
    shown.length = 0;
    const options = { folder: runFolder(world, "references"), recipeFile: world.recipeFile };
    return withRun(options, async (run) => {
      await runStages(run, stages);
      return shown.sort();
    });
  };
  rows("prompts", ["a", "b", "c"]);
  expect(await score(["sample", "score"])).toEqual(["a", "a", "b", "b", "c", "c"]);
  rows("prompts", ["a", "d", "c"]);
  expect(await score(["sample", "score"])).toEqual(["d", "d"]);
  rows("prompts", ["a", "b", "c"]);
  expect(await score(["sample", "score"])).toEqual([]);
  rows("prompts", ["a", undefined, "c"]);
  await expect(score(["score"])).rejects.toThrow("the row has no answer");
});

test("a rubric without its reference is told with its line, before anything is drawn", async () => {
  const judge = {
    kind: "judge",
    name: "j",
    model: world.models.llama,
    rubric: "{prompt} {response} {reference}",
  } as const;
  world.write({ rewards: [judge] });
  const open = withRun({ folder: runFolder(world, "rubric"), recipeFile: world.recipeFile }, async () => {});
  await expect(open).rejects.toThrow(RecipeError);
  await expect(open).rejects.toMatchObject({ place: { field: "rewards.0.rubric" } });
});
