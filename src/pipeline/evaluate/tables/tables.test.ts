import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readRows } from "../../../data/index.ts";
import { type BenchmarkResult, leaderboardOf } from "../../../evaluation/index.ts";
import { syntheticResults } from "../../../evaluation/testing/synthetic-results.ts";
import { DataError, EnvironmentError } from "../../../schema/index.ts";
import { leaderboardCsv } from "./csv.ts";
import { leaderboardHtml } from "./html.ts";
import { leaderboardPaths, readLeaderboard, writeLeaderboard } from "./index.ts";
import { leaderboardMarkdown } from "./markdown.ts";
import { lookOf, radar } from "./radar.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-tables-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = {
  name: "paper",
  resampling: { resamples: 200, seed: 1 },
  focus: { model: "fused", baseline: "target" },
  examples: 3,
};
const results = syntheticResults();
const board = leaderboardOf(results, options);
const markdown = leaderboardMarkdown(board);
const page = leaderboardHtml(board);

/** The tables of a Markdown text, as rows of cells. */
function tablesOf(text: string): string[][][] {
  const tables: string[][][] = [];
  let open = false;
  for (const line of text.replace(/^(`{3,}).*\n[\s\S]*?\n\1$/gmu, "").split("\n")) {
    if (line.startsWith("| ")) {
      if (!open) tables.push([]);
      tables.at(-1)!.push(line.slice(2, -2).split(/(?<!\\) \| /));
    }
    open = line.startsWith("|");
  }
  return tables;
}

describe("files", () => {
  test("four of them, whole; the JSON is read back; the same results give the same files", () => {
    const [here, there] = [join(folder, "here", "deep"), join(folder, "there")];
    const written = writeLeaderboard(here, results, options);
    writeLeaderboard(there, structuredClone(results), options);
    const names = ["leaderboard.csv", "leaderboard.html", "leaderboard.json", "leaderboard.md"];
    expect(readdirSync(here).sort()).toEqual(names);
    for (const name of names)
      expect(readFileSync(join(there, name), "utf8")).toBe(readFileSync(join(here, name), "utf8"));
    expect(readLeaderboard(here)).toEqual(written);
    expect(written.comparisons.some(({ outcome }) => outcome?.better === "b")).toBe(true);
    expect(leaderboardMarkdown(readLeaderboard(here))).toBe(readFileSync(leaderboardPaths(here).markdown, "utf8"));
    expect(leaderboardHtml(readLeaderboard(here))).toBe(readFileSync(leaderboardPaths(here).html, "utf8"));
  });

  test("a damaged one is told by its field, one that is not there by its name", () => {
    const own = join(folder, "damaged");
    writeLeaderboard(own, results, options);
    const { json } = leaderboardPaths(own);
    const value = JSON.parse(readFileSync(json, "utf8"));
    value.comparisons[0].outcome.pValue = 2;
    writeFileSync(json, JSON.stringify(value));
    expect(() => readLeaderboard(own)).toThrow(
      expect.objectContaining({ place: expect.objectContaining({ field: "comparisons.0.outcome.pValue" }) }),
    );
    writeFileSync(json, "{");
    expect(() => readLeaderboard(own)).toThrow(DataError);
    expect(() => readLeaderboard(join(folder, "nowhere"))).toThrow(DataError);
  });

  test("a file where the folder should be is told", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(() => writeLeaderboard(file, results, options)).toThrow(EnvironmentError);
    expect(() => writeLeaderboard("/proc/none", results, options)).toThrow(EnvironmentError);
  });
});

describe("CSV", () => {
  test("a row for each model, benchmark and column, as another reader has it", async () => {
    const models = results[0]!.models.map((model) => ({
      ...model,
      model: model.model === "sft" ? 'a "b", c\r\nd' : model.model,
    }));
    const odd = leaderboardOf([{ ...results[0]!, models }, ...results.slice(1)], { ...options, focus: undefined });
    const text = leaderboardCsv(odd);
    expect(text.endsWith("\r\n")).toBe(true);
    const file = join(folder, "odd.csv");
    writeFileSync(file, text);
    const rows: Record<string, string | null>[] = [];
    for await (const { value } of readRows(file)) rows.push(value as Record<string, string | null>);
    const columns = results.reduce((sum, result) => sum + result.columns.length, 0);
    expect(rows).toHaveLength(4 * columns);
    expect(new Set(rows.map(({ model }) => model))).toEqual(new Set(["target", 'a "b", c\r\nd', "fused", "sft"]));
    const of = (model: string, benchmark: string, column: string) =>
      rows.find((row) => row.model === model && row.benchmark === benchmark && row.column === column)!;
    const truth = results[3]!.models[2]!.figures.acc!;
    expect(of("fused", "gsm8k", "acc")).toMatchObject({
      official: "false",
      judge: null,
      main: "true",
      unit: "%",
      failed: "2",
    });
    expect(Number(of("fused", "gsm8k", "acc").value)).toBe(truth.value);
    expect(Number(of("fused", "gsm8k", "acc").standard_error)).toBe(truth.standardError);
    expect([of("fused", "gsm8k", "acc_norm").low, of("fused", "gsm8k", "acc_norm").high]).toEqual(["1", "99"]);
    expect(of("target", "alpaca_eval", "lc_win_rate")).toMatchObject({
      value: null,
      judge: "qwen2.5-coder-0.5b-instruct",
    });
    expect(of("sft", "alpaca_eval", "win_rate")).toMatchObject({ value: null, questions: null });
  });
});

describe("Markdown", () => {
  test("every row has the cells of its head, whatever stands in them", () => {
    const evil = results.map(
      (result): BenchmarkResult => ({
        ...result,
        judge: "a | b\n# c",
        models: result.models.map((model) => ({ ...model, notes: ["<b>x</b> | y\n\n- z"] })),
      }),
    );
    for (const text of [markdown, leaderboardMarkdown(leaderboardOf(evil, options))]) {
      const tables = tablesOf(text);
      expect(tables.length).toBeGreaterThan(12);
      for (const rows of tables) for (const row of rows) expect(row).toHaveLength(rows[0]!.length);
      expect(text.match(/^# /gm)).toHaveLength(1);
    }
  });

  test("figures that are not official are marked, each of them, and the judge stands in the head", () => {
    const [main] = tablesOf(markdown);
    expect(main![0]).toEqual([
      "Model",
      "alpaca_eval: LC win rate (%; judge: qwen2.5-coder-0.5b-instruct, not official †)",
      "Length",
      "mt_bench: Score (points; judge: gpt-4-0613, official)",
      "Length",
      "mmlu: acc (%; official)",
      "gsm8k: exact match (%; not official †)",
    ]);
    const rows = main!.slice(2);
    expect(rows.map(([model]) => model)).toEqual(["target", "sft", "fused"]);
    const truth = results[1]!.models[2]!.figures.main!;
    expect(rows[2]![3]).toBe(`${truth.value.toFixed(2)} ± ${truth.standardError!.toFixed(2)}`);
    for (const row of rows) {
      for (const at of [1, 6]) expect(row[at]).toMatch(/^–|†/);
      for (const at of [3, 5]) expect(row[at]).not.toContain("†");
    }
    expect(rows[0]![1]).toBe("– (1)");
    expect(markdown).toContain("(1) target on alpaca_eval: there is no figure; lengths could not be controlled");
    expect(markdown).toContain("alpaca_eval counts in none of these: target has no figure there.");
    expect(markdown).toContain('The figure "LC win rate" is no plain mean over questions');
  });

  test("texts with fences in them stay inside of theirs", () => {
    const outside = markdown.replace(/^(`{3,})text\n[\s\S]*?\n\1$/gmu, "");
    expect(outside).not.toContain("alert(");
    expect(outside).not.toContain("fence");
    expect(markdown).toContain("````text\n");
    expect(markdown).not.toContain("\u202e");
  });
});

describe("page", () => {
  test("no script, nothing from elsewhere, no text that is not escaped", () => {
    expect(page).not.toMatch(/<script|<img|<link|https?:|url\(|@import|javascript:/i);
    expect(page).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
    expect(page).not.toMatch(/[\u0000-\u0008\u202a-\u202e]/);
    expect(page).toContain("default-src &#39;none&#39;".replaceAll("&#39;", "'"));
    const opened = page.match(/<(table|section|details|div|figure|svg|ul|ol)\b/g)!.map((tag) => tag.slice(1));
    for (const tag of new Set(opened))
      expect(page.split(`</${tag}>`).length - 1, tag).toBe(opened.filter((each) => each === tag).length);
  });

  test("judges, marks, footnotes, radar with its table, gains and losses with the judge's words", () => {
    expect(page).toContain("judge: qwen2.5-coder-0.5b-instruct");
    expect(page).toContain('<span class="down">not official †</span>');
    expect(page).toContain("<li>target on alpaca_eval: there is no figure; lengths could not be controlled");
    expect(page.match(/aria-label="mt_bench by category"/g)).toHaveLength(1);
    expect(page).toMatch(/<th scope="row">writing/);
    expect(page.match(/The 3 questions where it gained most/g)).toHaveLength(4);
    expect(page.match(/The judge:/g)!.length).toBe(2 * 2 * 6);
  });

  test("light for 805 questions and ten models with long answers", () => {
    const answer = "x".repeat(3000);
    const [alpaca] = syntheticResults(805);
    const many = Array.from({ length: 10 }, (_, at) => {
      const model = alpaca!.models[at % 3]!;
      return { ...model, model: `model-${at}`, items: model.items.map((item) => ({ ...item, answer, words: answer })) };
    });
    const big = leaderboardOf([{ ...alpaca!, models: many }], {
      name: "big",
      resampling: { resamples: 100, seed: 1 },
      focus: { model: "model-2", baseline: "model-0" },
    });
    expect(leaderboardHtml(big).length).toBeLessThan(400_000);
    expect(JSON.stringify(big).length).toBeLessThan(400_000);
  });

  test("without models, without benchmarks, of one model", () => {
    for (const few of [[], results.slice(0, 1).map((result) => ({ ...result, models: [] }))]) {
      const empty = leaderboardOf(few, { name: "empty", resampling: options.resampling });
      expect(leaderboardHtml(empty)).toContain("0 models");
      expect(leaderboardMarkdown(empty)).toContain("# Leaderboard of empty");
    }
    const alone = results.map((result) => ({ ...result, models: result.models.slice(2) }));
    const text = leaderboardMarkdown(leaderboardOf(alone, { name: "alone", resampling: options.resampling }));
    expect(text).not.toContain("## Comparisons");
    expect(text).toContain("Mean of 3 benchmarks (%)");
  });
});

test("areas stand above their categories, with the questions of all of these, on the radar and in the JSON", () => {
  const areas = [
    { name: "stem", categories: ["abstract_algebra", "anatomy", "astronomy"], figure: { value: 12.5 } },
    { name: "other", categories: ["business_ethics"], figure: { value: 37.5 } },
    { name: "odd | area", categories: ["business_ethics"], figure: { value: 50 } },
  ];
  const [, , mmlu] = results;
  const models = mmlu!.models.map((model) => (model.model === "sft" ? model : { ...model, areas }));
  const one = { name: "areas", resampling: options.resampling };
  const own = writeLeaderboard(join(folder, "areas"), [{ ...mmlu!, models }], one);
  expect(readLeaderboard(join(folder, "areas"))).toEqual(own);
  const questions = own.benchmarks[0]!.questions.filter(({ category }) => category !== "business_ethics").length;
  expect(own.benchmarks[0]!.areas![0]).toEqual({
    name: "stem",
    categories: areas[0]!.categories,
    models: [
      { model: "target", figure: { value: 12.5 }, questions },
      { model: "sft", figure: null, questions },
      { model: "fused", figure: { value: 12.5 }, questions },
    ],
  });
  const tables = tablesOf(leaderboardMarkdown(own));
  expect(tables.find(([head]) => head![0] === "Area")!.slice(2)).toEqual([
    ["stem", String(questions), "12.50", "–", "12.50"],
    ["other", "30", "37.50", "–", "37.50"],
    ["odd \\| area", "30", "50.00", "–", "50.00"],
  ]);
  expect(tables.find(([head]) => head![0] === "Category")!).toHaveLength(2 + 4);
  expect(leaderboardHtml(own)).toMatch(
    /aria-label="mmlu by area"[\s\S]*<th scope="row">odd \| area[\s\S]*<th scope="row">anatomy/,
  );
  expect(own.benchmarks.concat(board.benchmarks).filter(({ areas }) => areas !== undefined)).toHaveLength(1);
});

describe("radar", () => {
  const drawn = radar(
    "x",
    ["a", "b", "c", "d"],
    [
      { name: "whole", look: lookOf(0), values: [10, 5, 0, 2.5] },
      { name: "with a gap", look: lookOf(1), values: [4, null, 4, 4] },
    ],
  ).html;
  const paths = [...drawn.matchAll(/<path class="line"[^>]* d="([^"]+)"/g)].map(([, d]) => d!);

  test("each point lies as far from the middle as its value, in the direction of its category", () => {
    const points = paths[0]!
      .slice(1, -1)
      .split("L")
      .map((pair) => pair.split(" ").map(Number) as [number, number]);
    const [top, right, middle, left] = points as [
      [number, number],
      [number, number],
      [number, number],
      [number, number],
    ];
    const unit = (middle[1] - top[1]) / 10;
    expect(top[0]).toBeCloseTo(middle[0], 1);
    expect(right).toEqual([expect.closeTo(middle[0] + 5 * unit, 1), expect.closeTo(middle[1], 1)]);
    expect(left).toEqual([expect.closeTo(middle[0] - 2.5 * unit, 1), expect.closeTo(middle[1], 1)]);
    expect(paths[0]).toMatch(/Z$/);
  });

  test("a missing figure leaves a gap, not a 0; lines differ by more than colour", () => {
    expect(paths[1]!.match(/M/g)).toHaveLength(2);
    expect(drawn).toContain("with a gap: a 4.00, b no figure");
    expect(new Set(Array.from({ length: 8 }, (_, at) => lookOf(at).dashes)).size).toBe(8);
  });
});
