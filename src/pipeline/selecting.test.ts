import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRewards } from "../rewards/index.ts";
import { recipeSchema, type SelectionRecipe, TrainingError } from "../schema/index.ts";
import { type Ledger, openLedger, type ScoreOutcome } from "../store/index.ts";
import type { SplitSelection } from "./report/split-selection.ts";
import type { Run } from "./run.ts";
import { selectForSft, selectForWrpo } from "./selecting.ts";

const sources = ["a", "b", "c"];
const [count, n] = [60, 4];
/** What the reward gives for a thousand characters. */
const liking = 2;
const splits = ["sft", "wrpo"] as const;

let folder: string;
let ledger: Ledger;
/** What each response is worth, whatever its length. */
const qualities = new Map<string, number>();

function recipe(selection: object) {
  return recipeSchema.parse({
    ...{ prompts: { file: "prompts.jsonl" }, target: { model: "target" }, sampling: { n } },
    sources: sources.map((name) => ({ name, recorded: { file: `${name}.jsonl` } })),
    ...{ rewards: [{ kind: "checks" }], selection, evaluation: { prompts: { file: "held-out.jsonl" } } },
  });
}

const notices: string[] = [];
const run = (selection: object): Run =>
  ({
    ...{ folder, recipe: recipe({ rows: "pairs", rejected_from: "same_source", ...selection }), ledger },
    ...{ listener: { notice: (text: string) => notices.push(text) }, signal: new AbortController().signal },
  }) as unknown as Run;

const summary = async (split: "sft" | "wrpo") => (await ledger.selections.summary(split)) as unknown as SplitSelection;

/** A text of so many characters, about a subject. */
const about = (subject: string, characters: number) =>
  `${subject} `.repeat(Math.ceil(characters / (subject.length + 1))).slice(0, characters);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "selecting-"));
  ledger = await openLedger(folder);
  const prompts = Array.from({ length: count }, (_, at) => ({
    ...{ id: `p${at}`, split: splits[at % 2]!, checks: [], domain: `domain ${at % 3}` },
    messages: [{ role: "user" as const, content: `Question ${at}` }],
  }));
  await ledger.prompts.replace(prompts);
  const sampling = { temperature: 1, top_p: 1, top_k: 0, max_tokens: 8, stop: [], seed: 1 };
  const draws = sources.map((source) => ({ source, identity: source, sampling, n, splits }));
  await ledger.responses.declare("sources", draws);
  for (const [place, source] of sources.entries()) {
    const outcomes = prompts.flatMap(({ id }, at) =>
      Array.from({ length: n }, (_, index) => {
        const characters = 100 + ((at * 37 + index * 211 + place * 97) % 800);
        // Every third prompt has one and the same answer.
        const subject = at % 3 === 0 ? "sorry" : `s${at}${source}${index}`;
        const text = about(subject, characters);
        return { ...{ promptId: id, index, text, finish: "stop" as const }, promptTokens: 1, responseTokens: 9 };
      }),
    );
    await ledger.responses.add("sources", source, outcomes);
  }
  const { identity } = await openRewards(recipe({}).rewards, {} as Parameters<typeof openRewards>[1]);
  const scores: ScoreOutcome[] = [];
  for await (const { key, promptId, text, source } of ledger.responses.byStage("sources")) {
    const quality = (Number.parseInt(key.slice(0, 6), 16) % 1000) / 1000 + sources.indexOf(source) / 10;
    qualities.set(key, quality);
    const value = quality + (liking * text.length) / 1000;
    scores.push({ promptId, responseKey: key, reward: identity, value, parts: [] });
  }
  await ledger.scores.add(identity, scores);
});
afterAll(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true });
});

/** Share of the prompts whose y_ws has the highest quality of all responses. */
async function bestByQuality(): Promise<number> {
  const chosen = new Map((await ledger.selections.list("sft")).map((row) => [row.promptId, row.sourceChosen]));
  let [best, all] = [0, 0];
  for await (const { prompt, responses } of ledger.responses.byPrompt("sources")) {
    if (prompt.split !== "sft") continue;
    all += 1;
    const highest = Math.max(...responses.map(({ key }) => qualities.get(key)!));
    if (qualities.get(chosen.get(prompt.id) ?? "") === highest) best += 1;
  }
  return best / all;
}

test("a fitted length is taken out of the rewards, told, and kept with the selection", async () => {
  const fitted = { length_penalty: "fitted" } satisfies Partial<SelectionRecipe>;
  expect(await selectForSft(run({}))).toMatchObject({ selected: count / 2 });
  const before = await bestByQuality();
  expect((await summary("sft")).lengthEffect).toBeNull();
  const told = (await summary("sft")).statistics!.length.effect!;
  expect(Math.abs(told.perThousand - liking)).toBeLessThan(0.3);
  expect(told.explained).toBeGreaterThan(0.4);

  expect(await selectForSft(run(fitted))).toMatchObject({ selected: count / 2 });
  const { lengthEffect } = await summary("sft");
  expect(Math.abs(lengthEffect!.perThousand - liking)).toBeLessThan(0.2);
  expect(notices).toContainEqual(expect.stringContaining(` add ${lengthEffect!.perThousand.toPrecision(3)} `));
  expect(await bestByQuality()).toBeGreaterThan(Math.max(0.85, before + 0.2));
  expect(await selectForSft(run(fitted))).toBeUndefined();

  await selectForWrpo(run(fitted));
  // One fit for both trainings.
  expect((await summary("wrpo")).lengthEffect).toEqual(lengthEffect);
});

test("of prompts with similar chosen responses so many stay, and the others are counted", async () => {
  for (const atMost of [1, 3]) {
    await selectForSft(run({ across_prompts: { max_similarity: 0.9, at_most: atMost } }));
    const { selected, leftOut, contributions } = await summary("sft");
    expect(selected).toBe((count / 2) * (2 / 3) + atMost);
    expect(leftOut).toMatchObject([{ prompts: count / 6 - atMost, reason: expect.stringContaining("across_prompts") }]);
    expect(contributions.reduce((sum, { chosen }) => sum + chosen, 0)).toBe(selected);
  }
});

test("an effect that can't be fitted stops the run with a hint", async () => {
  const alone = run({ length_penalty: "fitted" });
  const nobody = { ...alone, recipe: { ...alone.recipe, selection: { ...alone.recipe.selection, sources: ["x"] } } };
  await expect(selectForSft(nobody)).rejects.toThrow(TrainingError);
});
