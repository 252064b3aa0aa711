import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { sendJson } from "../../sources/testing/local-server.ts";
import { serving } from "../../sources/testing/serving.ts";
import { rewardValues } from "../reward-values.ts";
import { hearing } from "../testing/tiny-world.ts";
import { agreementFigures, type ScoredRow } from "./figures.ts";
import { agreementFiles, rewardAgreement } from "./index.ts";
import { sectionsOf } from "./sections.ts";
import { agreementMarkdown } from "./text.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-agreement-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "none.jsonl"), '{"prompt": "Hello?"}\n');
const { serve } = serving();

const recipeOf = (rewards: readonly object[]) => {
  const file = join(folder, "recipe.yaml");
  const recipe = {
    prompts: { file: "none.jsonl" },
    target: { model: "none" },
    sources: [{ name: "a", model: "none" }],
    rewards,
    evaluation: { prompts: { file: "none.jsonl" }, bootstrap: 200 },
  };
  writeFileSync(file, JSON.stringify(recipe));
  return file;
};
const fileOf = (name: string, rows: readonly object[]) => {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return file;
};

/** A reward of "long is good", by characters. */
async function lengthServer() {
  const rated: string[] = [];
  const server = await serve(({ body }, answer) => {
    const { items } = body as unknown as { readonly items: readonly { readonly response: string }[] };
    for (const { response } of items) rated.push(response);
    sendJson(answer, 200, { scores: items.map(({ response }) => response.length) });
  });
  const reward = { kind: "endpoint", name: "long", endpoint: { url: server.url }, batch_size: 2, weight: 1 };
  return { rated, reward };
}
const polite = {
  kind: "checks",
  name: "polite",
  checks: [{ id: "keywords:existence", args: { keywords: ["please"] } }],
  weight: 20,
};

/** Length orders the first, third and fifth rightly, politeness the first and fourth, and says nothing of the others. */
const pairs = [
  { prompt: "one", chosen: "please, a long answer", rejected: "short", subset: "alpacaeval-easy" },
  { prompt: "two", chosen: "brief", rejected: "a longer answer", subset: "alpacaeval-easy" },
  { prompt: [{ role: "user", content: "one" }], chosen: "another long answer", rejected: "bad", subset: "donotanswer" },
  { prompt: "four", chosen: "please", rejected: "a longer answer", subset: "donotanswer" },
  {
    chosen: [
      { role: "user", content: "five" },
      { role: "assistant", content: "a good answer" },
    ],
    rejected: [
      { role: "user", content: "five" },
      { role: "assistant", content: "none" },
    ],
    subset: "donotanswer",
  },
];

describe("amalgam agreement", () => {
  test("accuracy by subset and section, and agreement, as counted by hand; prompts that stand twice; bad rows are told", async () => {
    const { reward, rated } = await lengthServer();
    const file = fileOf("pairs.jsonl", [
      ...pairs,
      { prompt: "six", chosen: "same", rejected: "same" },
      { prompt: "seven" },
    ]);
    const heard = hearing();
    const options = {
      file,
      folder: join(folder, "pairs"),
      recipeFile: recipeOf([reward, polite]),
      listener: heard.listener,
    };
    const report = await rewardAgreement({ ...options, signal: new AbortController().signal });
    expect(heard.notices.join("\n")).toMatch(
      /^2 bad rows are passed over: .*pairs.jsonl:6: its responses are the same/,
    );
    expect([report.rows, report.skippedRows, report.unscoredRows]).toEqual([5, 2, 0]);
    const [whole, long, kind] = report.accuracies;
    expect([whole!.reward, long!.reward, kind!.reward]).toEqual([null, "long", "polite"]);
    expect(long!.overall!.accuracy).toBeCloseTo(3 / 5, 12);
    expect(kind!.overall!.accuracy).toBeCloseTo(3.5 / 5, 12);
    // A point of politeness outweighs 20 characters.
    expect(whole!.overall!.accuracy).toBeCloseTo(4 / 5, 12);
    expect(long!.subsets.map(({ subset, rows, accuracy }) => [subset, rows, accuracy])).toEqual([
      ["alpacaeval-easy", 2, 1 / 2],
      ["donotanswer", 3, expect.closeTo(2 / 3, 12)],
    ]);
    expect(long!.subsetMean).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12);
    expect(long!.sections.map(({ section }) => section)).toEqual(["Chat", "Safety"]);
    expect([long!.silentRows, kind!.silentRows]).toEqual([0, 3]);
    const [labelsLong, labelsPolite, both] = report.agreement;
    expect(labelsLong).toMatchObject({ pair: [null, "long"], pairs: 5, tau: expect.closeTo(1 / 5, 12) as number });
    // No ties: kappa is twice the accuracy less 1. Politeness tells two pairs of five apart, both rightly.
    expect(labelsLong!.kappa).toBeCloseTo(1 / 5, 12);
    expect(labelsPolite!.tau).toBeCloseTo(2 / Math.sqrt(5 * 2), 12);
    expect(labelsPolite!.kappa).toBeCloseTo((2 / 5 - 1 / 5) / (1 - 1 / 5), 12);
    expect(both).toMatchObject({ pair: ["long", "polite"], tau: 0 });
    expect(report.fitted!.recipe!.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    const { json, markdown } = agreementFiles(options.folder);
    expect(JSON.parse(readFileSync(json, "utf8"))).toEqual(JSON.parse(JSON.stringify(report)));
    expect(readFileSync(markdown, "utf8")).toBe(`${agreementMarkdown(report)}\n`);
    expect(rated).toHaveLength(10);
    // Again: nothing is rated anew, and nothing is otherwise.
    expect(await rewardAgreement({ ...options, signal: new AbortController().signal })).toEqual(report);
    expect(rated).toHaveLength(10);
  });

  test("graded responses: every two with different grades; a stopped one goes on with what is missing", async () => {
    const { reward, rated } = await lengthServer();
    const rows = Array.from({ length: 300 }, (_, at) => ({
      prompt: `question ${at}`,
      responses: ["x".repeat((at % 7) + 1), "x".repeat((at % 5) + 2), `${"x".repeat(9)}`],
      ratings: [1, 2.5, 2.5],
    }));
    const file = fileOf("graded.jsonl", rows);
    const stop = new AbortController();
    const heard = hearing(({ done }) => done > 0 && stop.abort());
    const options = { file, folder: join(folder, "graded"), recipeFile: recipeOf([reward]) };
    await expect(rewardAgreement({ ...options, listener: heard.listener, signal: stop.signal })).rejects.toThrow(
      "stopped",
    );
    expect(existsSync(agreementFiles(options.folder).json)).toBe(false);
    const report = await rewardAgreement({
      ...options,
      listener: hearing().listener,
      signal: new AbortController().signal,
    });
    expect(rated.length).toBeLessThan(2 * 900);
    const outcome = (a: number, b: number) => (a < b ? 1 : a > b ? 0 : 0.5);
    const expected = rows.map(
      ({ responses: [a, b, c] }) => (outcome(a!.length, b!.length) + outcome(a!.length, c!.length)) / 2,
    );
    expect(report.accuracies).toHaveLength(1);
    expect(report.accuracies[0]!.overall!.accuracy).toBeCloseTo(expected.reduce((sum, one) => sum + one, 0) / 300, 12);
    expect(report.fitted).toBeNull();
  });

  test("a run folder is refused, and a file without a row of use", async () => {
    const { reward } = await lengthServer();
    const signal = new AbortController().signal;
    const { listener } = hearing();
    const recipeFile = recipeOf([reward]);
    const useless = fileOf("useless.jsonl", [{ prompt: "x", completion: "y" }]);
    const given = { file: useless, recipeFile, signal, listener };
    await expect(rewardAgreement({ ...given, folder })).rejects.toThrow("this is the folder of a run");
    await expect(rewardAgreement({ ...given, folder: join(folder, "none") })).rejects.toThrow("no chosen and rejected");
  });
});

describe("fitted weights", () => {
  /** Two rewards: the first follows the labels in nine of ten rows, the second says the reverse of them in six of ten. */
  const rows = Array.from({ length: 200 }, (_, at): ScoredRow => {
    const [good, bad] = [at % 10 < 9 ? 1 : -1, Math.floor(at / 10) % 10 < 6 ? -1 : 1];
    const response = (grade: number, sign: number) => ({
      grade,
      value: sign,
      values: new Map([
        ["good", 3 * sign * good],
        ["bad", 100 * sign * bad],
      ]),
    });
    return { promptId: `p${at}`, subset: null, responses: [response(1, 1), response(0, -1)] };
  });
  const rewards = ["good", "bad"].map((name, index) => ({ name, index, isGate: false, weight: 1 }));

  test("leave out what speaks against the labels, and hold on rows that they were not fitted on", () => {
    const { fitted, accuracies } = agreementFigures(rows, rewards, { resamples: 100, seed: 1 });
    expect(fitted!.recipe!.map(({ reward, weight }) => [reward, weight])).toEqual([
      ["good", 1],
      ["bad", 0],
    ]);
    expect(fitted!.free[1]!.weight).toBeLessThan(0);
    expect(fitted!.crossValidated!.accuracy).toBeCloseTo(0.9, 12);
    expect(fitted!.asWritten!.accuracy).toBeCloseTo(0.4, 12);
    expect(accuracies.map(({ overall }) => overall!.accuracy)).toEqual(
      [1, 0.9, 0.4].map((each) => expect.closeTo(each, 12)),
    );
  });
});

test("RewardBench's sections: mathematics as much as the six of code, and none for other subsets", () => {
  const of = (subset: string, rows: number, accuracy: number) => ({ subset, rows, accuracy });
  const code = ["cpp", "go", "java", "js", "python", "rust"].map((name) => of(`hep-${name}`, 164, 0.5));
  expect(
    sectionsOf([...code, of("math-prm", 447, 1), of("mt-bench-easy", 28, 1), of("alpacaeval-easy", 100, 0.5)]),
  ).toEqual([
    { section: "Chat", rows: 128, accuracy: expect.closeTo(78 / 128, 12) as number },
    { section: "Reasoning", rows: 6 * 164 + 447, accuracy: expect.closeTo(0.75, 12) as number },
  ]);
  expect(sectionsOf([of("own", 3, 1)])).toEqual([]);
});

test("a reward's value from the parts of a score, weighed, clipped, of a gate and behind one", () => {
  const judge = { kind: "judge", name: "j", weight: 1 } as never;
  const gate = { kind: "checks", name: "form", gate: 1, weight: 1 } as never;
  const part = (name: string, value: number, weight: number) => ({ name, value, weight });
  const figures = [part("j:rating_mass", 0.9, 0)];
  expect([...rewardValues([judge])([part("j", 0.7, 0.5), ...figures])]).toEqual([["j", 0.7]]);
  expect([...rewardValues([judge])([part("j", 7, 0), ...figures, part("judge j:clipped", 1, 0.5)])]).toEqual([
    ["j", 1],
  ]);
  const closed = [part("j", 0.7, 0), ...figures, part("form/a", 1, 0), part("form/b", 0, 0), part("form:closed", 0, 1)];
  expect([...rewardValues([judge, gate])(closed)]).toEqual([
    ["j", 0.7],
    ["form", 0.5],
  ]);
});
