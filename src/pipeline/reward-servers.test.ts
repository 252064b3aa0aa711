import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { describeError } from "../schema/index.ts";
import { sendJson } from "../sources/testing/local-server.ts";
import { serving } from "../sources/testing/serving.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());
const { serve } = serving();

const recorded = () => {
  const rows = jsonLines(join(world.folder, "prompts.jsonl")).flatMap(({ id }) =>
    [0, 1, 2].map((at) => ({ prompt_id: id, text: `answer ${at} to ${id}` })),
  );
  writeFileSync(join(world.folder, "answers.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return [{ name: "elders", recorded: { file: "answers.jsonl" } }];
};

test("a reward server that dies half-way: what it gave stays, and is not asked for again", async () => {
  let dies = true;
  let calls = 0;
  const scored: string[] = [];
  const server = await serve(({ body }, answer) => {
    calls += 1;
    if (dies && calls > 5) return void answer.destroy();
    const { items } = body as unknown as { items: readonly { readonly response: string }[] };
    scored.push(...items.map(({ response }) => response));
    sendJson(answer, 200, { scores: items.map((_, at) => scored.length + at) });
  });
  const rewards = [
    {
      kind: "endpoint" as const,
      name: "server",
      batch_size: 3,
      endpoint: { url: `${server.url}/rate`, retries: 0, concurrency: 1 },
    },
  ];
  world.write({ sources: recorded(), rewards });
  const folder = runFolder(world, "dying");
  const score = () =>
    withRun({ folder, recipeFile: world.recipeFile, heard: hearing() }, (run) => runStages(run, ["sample", "score"]));
  const done = async () => (await runStatus(folder)).scores.map(({ done, failed }) => [done, failed]);

  const said = await score().then(
    () => "it went well",
    (error: unknown) => describeError(error),
  );
  expect(said).toMatch(/has failed 3 calls in a row/);
  expect(said).toMatch(/This came up with endpoint server: 21 of 36 responses have no score yet/);
  expect((await done())[0]![0]).toBe(15);
  dies = false;
  await score();
  expect((await done())[0]).toEqual([36, 0]);
  expect(scored).toHaveLength(36);
  expect(new Set(scored).size).toBe(36);
});
