import { afterAll, expect, test } from "vitest";
import { inspectTexts } from "./inspect/index.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { hearing, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());

const pattern = (name: string, regex: string, weight: number) => ({
  ...{ kind: "checks" as const, name, weight },
  checks: [{ id: "regex:match", args: { pattern: regex } }],
});
const length = {
  kind: "checks" as const,
  name: "long",
  weight: 1,
  checks: [{ id: "length:target", args: { min: 60, reach: 60 } }],
};

test("a run selects by votes what it scored before: nothing is scored again, and report and inspect say so", async () => {
  world.write({
    rewards: [length, pattern("vowel", "a.*a", 0.4), pattern("dot", "\\.", 0.4)],
    sampling: { n: 3, max_tokens: 24, temperature: 1, top_p: 1 },
  });
  const folder = runFolder(world, "votes");
  const weights: Readonly<Record<string, number>> = { long: 1, vowel: 0.4, dot: 0.4 };
  const select = (combine: "mean" | "vote") => {
    const options = { folder, recipeFile: world.recipeFile, overrides: [`selection.combine=${combine}`] };
    return withRun(options, async (run) => {
      await runStages(run, ["sample", "score", "select_sft"]);
      const { ledger } = run;
      const { reward, done } = (await ledger.scoreStatus())[0]!;
      const prompts = new Map<string, { key: string; value: number; parts: Map<string, number> }[]>();
      for await (const { prompt, responses } of ledger.scores.byPrompt("sources", reward, "sft"))
        prompts.set(
          prompt.id,
          responses
            .filter(({ text }) => text.trim() !== "")
            .map(({ key, value, parts }) => ({
              ...{ key, value },
              parts: new Map(parts.map((part) => [part.name.split("/")[0]!, part.value])),
            })),
        );
      return {
        done,
        prompts,
        chosen: await ledger.selections.list("sft"),
        summary: await ledger.selections.summary("sft"),
      };
    });
  };
  const before = await select("mean");
  const after = await select("vote");
  expect(after.done).toBe(before.done);
  let decided = 0;
  for (const { promptId, sourceChosen } of after.chosen) {
    const responses = after.prompts.get(promptId)!;
    const share = (one: (typeof responses)[number]) =>
      responses.reduce(
        (sum, other) =>
          sum +
          Object.entries(weights).reduce((votes, [name, weight]) => {
            const [a, b] = [one.parts.get(name)!, other.parts.get(name)!];
            return votes + (one === other ? 0 : weight * (a > b ? 1 : a < b ? 0 : 0.5));
          }, 0),
        0,
      );
    const best = Math.max(...responses.map(share));
    if (sourceChosen === undefined) continue;
    decided += 1;
    expect(share(responses.find(({ key }) => key === sourceChosen)!)).toBeCloseTo(best, 10);
  }
  expect(decided).toBeGreaterThan(0);
  expect(before.summary).toMatchObject({ combine: "mean" });
  expect(after.summary).toMatchObject({ combine: "vote" });
  const strengthsOf = ({ summary }: typeof after) =>
    (summary as { strengths: { sources: { source: string }[] } }).strengths;
  // The sources are as strong as their rewards make them, however these are combined.
  expect(strengthsOf(after)).toEqual(strengthsOf(before));
  expect(
    strengthsOf(after)
      .sources.map(({ source }) => source)
      .sort(),
  ).toEqual(["gemma", "llama", "qwen"]);
  expect((await runStatus(folder)).selections.sft!.strengths!.prompts).toBeGreaterThan(0);
  const { listener } = hearing();
  const texts: string[] = [];
  const options = { path: folder, kind: "run", filter: {}, signal: new AbortController().signal, listener } as const;
  for await (const text of inspectTexts(options)) texts.push(text);
  expect(texts.join("\n")).toMatch(/beside: .*votes 0\.\d+/);
});

test("votes and standard scores exclude each other", async () => {
  world.write({ selection: { combine: "vote", normalise: "per_source" } });
  const open = withRun({ folder: runFolder(world, "both"), recipeFile: world.recipeFile }, async () => {});
  await expect(open).rejects.toMatchObject({ place: { field: "selection.normalise" } });
});
