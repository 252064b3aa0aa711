import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readRows } from "../data/index.ts";
import { readDataRows } from "../preferences/index.ts";
import { exportDataset } from "./dataset/index.ts";
import { partFile } from "./dataset/parts.ts";
import { silent, stageNames } from "./events.ts";
import { inspectTexts } from "./inspect/index.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
const folder = runFolder(world, "pairs");
const paths = runPaths(folder);
const pairs = [
  "selection.rows=pairs",
  "selection.rejected_from=same_source",
  "wrpo.objective=dpo",
  "evaluation.log_probs=true",
];
const heard = hearing();

const whole = (overrides: readonly string[], listening = hearing()) =>
  withRun({ folder, recipeFile: world.recipeFile, overrides, heard: listening }, (run) => runStages(run, stageNames));

beforeAll(() => whole(pairs, heard));
afterAll(() => world.remove());

type Turns = [{ content: string }];

/** Reward and source of each text that a source gave to a prompt. */
async function givenBySources() {
  return await withRun({ folder }, async ({ ledger }) => {
    const { reward } = (await ledger.scoreStatus())[0]!;
    const found = new Map<string, { readonly source: string; readonly text: string; readonly value: number }[]>();
    for await (const { prompt, responses } of ledger.scores.byPrompt("sources", reward, "wrpo"))
      found.set(prompt.id, [...responses]);
    return found;
  });
}

test("pairs of one source's best and worst response train a model with DPO, and the target is asked for nothing", async () => {
  const { draws, stages, fusedModel } = await runStatus(folder);
  expect(draws.some(({ stage }) => stage === "target")).toBe(false);
  expect(stages.filter(({ state }) => state === "off").map(({ stage }) => stage)).toEqual([
    "sample_target",
    "score_target",
  ]);
  expect(stages.filter(({ state }) => state !== "off").every(({ state }) => state === "done")).toBe(true);
  expect(heard.notices).toContainEqual(expect.stringContaining("no responses of the target"));
  expect(fusedModel).toBe(paths.fusedModel);

  const rows = jsonLines(paths.pairs) as { prompt_id: string; chosen: Turns; rejected: Turns }[];
  expect(rows.length).toBeGreaterThan(2);
  expect(existsSync(paths.quadruples)).toBe(false);
  const given = await givenBySources();
  for (const { prompt_id: id, chosen, rejected } of rows) {
    const said = ([{ content }]: Turns) => given.get(id)!.filter(({ text }) => text === content);
    const [better, worse] = [said(chosen), said(rejected)];
    expect(worse.some(({ source }) => better.some((one) => one.source === source))).toBe(true);
    expect(better[0]!.value).toBeGreaterThan(worse[0]!.value);
  }
  // The rows are what the training of one's own data reads.
  const read = [];
  const wanted = { objective: "dpo", roles: ["target_chosen", "rejected"] } as const;
  for await (const row of readDataRows([paths.pairs], wanted)) read.push(row.responses);
  expect(read).toEqual(rows.map(({ chosen, rejected }) => [chosen[0]!.content, rejected[0]!.content]));
  expect(jsonLines(paths.metrics("wrpo"))[0]).toHaveProperty("rewards/margins");
});

test("the report and the card speak of pairs, gaps and what the reward likes", async () => {
  const page = readFileSync(paths.report, "utf8");
  expect(page).not.toMatch(/NaN|undefined|Quadruples|y_wt/);
  expect(page).toContain("y_w (blue), y_l (red)");
  for (const words of ["<h3>Pairs</h3>", "Reward gaps of the selected rows", "The longer wins", "At equal length"])
    expect(page).toContain(words);
  expect(readFileSync(`${paths.fusedModel}/README.md`, "utf8")).toContain(
    "trained, for each prompt, on the best response of all sources, the worst of the source that gave the preferred one.",
  );
  const { wrpo } = (await runStatus(folder)).selections;
  expect(wrpo!.meanRewards.targetChosen).toBeNull();
  expect(wrpo!.gaps!.mean).toBeCloseTo(wrpo!.meanRewards.sourceChosen! - wrpo!.meanRewards.rejected!, 12);
  expect(wrpo!.gaps!.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(wrpo!.selected);
});

test("the data set and inspect know pairs", async () => {
  const exported = `${folder}-dataset`;
  await exportDataset({ run: folder, folder: exported, listener: silent, signal: new AbortController().signal });
  const found: unknown[] = [];
  for await (const { value } of readRows(`${exported}/${partFile("preference")}`)) {
    const row = value as {
      prompt_id: string;
      chosen: Turns;
      rejected: Turns;
      score_chosen: number;
      score_rejected: number;
    };
    expect(row.score_chosen).toBeGreaterThan(row.score_rejected);
    found.push([row.prompt_id, row.chosen[0].content, row.rejected[0].content]);
  }
  const rows = jsonLines(paths.pairs) as { prompt_id: string; chosen: Turns; rejected: Turns }[];
  expect(found).toEqual(rows.map((row) => [row.prompt_id, row.chosen[0].content, row.rejected[0].content]));
  expect(readFileSync(`${exported}/README.md`, "utf8")).toContain("`rejected` the worst of the same source");
  let shown = "";
  const around = { signal: new AbortController().signal, listener: silent };
  const filter = { ids: [rows[0]!.prompt_id] };
  for await (const text of inspectTexts({ path: folder, kind: "run", filter, ...around })) shown += text;
  expect(shown).toMatch(/y_ws/);
  expect(shown).toMatch(/y_l/);
});

test("the same run goes over to quadruples whose y_l is a source's", async () => {
  const again = hearing();
  await whole(pairs, again);
  expect(again.finished.every(([, skipped]) => skipped)).toBe(true);
  await whole(["selection.rejected_from=sources"]);
  expect(existsSync(paths.pairs)).toBe(false);
  const given = await givenBySources();
  const rows = jsonLines(paths.quadruples) as { prompt_id: string; rejected: { content: string }[] }[];
  expect(rows.length).toBeGreaterThan(0);
  for (const { prompt_id: id, rejected } of rows) {
    const least = Math.min(...given.get(id)!.map(({ value }) => value));
    expect(given.get(id)!.find(({ text }) => text === rejected[0]!.content)!.value).toBe(least);
  }
  expect((await runStatus(folder)).stages.every(({ state }) => state === "done")).toBe(true);
});
