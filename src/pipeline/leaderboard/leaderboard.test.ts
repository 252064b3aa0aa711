import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { leaderboard, leaderboardCsv } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-leaderboard-"));
afterAll(() => rmSync(folder, { recursive: true }));

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../evaluation/fixtures/alpaca-eval/${name}.json`, import.meta.url), "utf8"));

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** Outputs of the lengths that were measured: a sign outside the basic plane is one code point, and two of JavaScript's. */
const annotationsOf = (model: string) => {
  const { preference, len_baseline, len_model } = fixture(model) as Record<string, number[]>;
  return preference!.map((value, i) => ({
    instruction: `Instruction ${i}\r\n`,
    output_1: "a".repeat(len_baseline![i]!),
    generator_1: "gpt4_1106_preview",
    output_2: "🙂".repeat(len_model![i]!),
    generator_2: model,
    annotator: "weighted_alpaca_eval_gpt4_turbo",
    preference: value,
  }));
};

const { instruction_difficulty, gamed } = fixture("glm_reference") as {
  instruction_difficulty: number[];
  gamed: Record<"index" | "preference" | "std_delta_len", number[]>;
};
const gamedFile = file(
  "df_gamed.csv",
  [
    "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline",
    ...gamed.index.map(
      (index, k) =>
        `m,${gamed.preference[k]},${index},${gamed.std_delta_len[k]},${instruction_difficulty[index]},False`,
    ),
  ].join("\n"),
);

const models = ["claude-2.1", "FuseChat-Llama-3.1-8B-Instruct"];
const { models: official } = fixture("expected") as {
  models: Record<string, { official_numpy_scalar_sort: Record<string, number> }>;
};

test("annotations in alpaca-eval's form give its leaderboard's figures, the best model first", async () => {
  const files = models.map((model) => file(`${model}.json`, annotationsOf(model)));
  const rows = await leaderboard(files, gamedFile);
  expect(rows.map(({ model }) => model)).toEqual([...models].reverse());
  for (const row of rows) {
    const wanted = official[row.model]!.official_numpy_scalar_sort;
    expect(row.official).toBe(true);
    expect(row.notes).toEqual([]);
    for (const figure of ["win_rate", "standard_error", "length_controlled_winrate", "lc_standard_error"] as const)
      expect(Math.abs(row[figure]! - wanted[figure]!), figure).toBeLessThan(1e-9);
    for (const count of ["n_wins", "n_wins_base", "n_draws", "n_total", "avg_length"] as const)
      expect(row[count], count).toBe(wanted[count]);
  }
});

test("fewer instructions, failed verdicts and other judges are told, and no figure of theirs is official", async () => {
  const some = annotationsOf("claude-2.1").slice(0, 803);
  const [first, ...rest] = some;
  const text = `[${JSON.stringify(first).replace(/"preference":[\d.]+/, '"preference": NaN')},${rest.map((row) => JSON.stringify(row)).join(",")}]`;
  const [row] = await leaderboard([file("some.json", text)], gamedFile);
  expect(row).toMatchObject({ official: false, n_failed: 1, n_total: 802 });
  expect(row!.notes).toEqual([
    "1 comparisons have no verdict and count nowhere",
    expect.stringContaining("803 comparisons of 805"),
  ]);
  const [other] = await leaderboard(
    [
      file(
        "other.json",
        annotationsOf("claude-2.1").map((each) => ({ ...each, annotator: "small judge" })),
      ),
    ],
    undefined,
  );
  expect(other).toMatchObject({ official: false, judge: "small judge", length_controlled_winrate: null });
});

test("the baseline against itself has one half at equal length; where lengths can't be controlled there is no rate and a note", async () => {
  const same = annotationsOf("claude-2.1").map((row) => ({ ...row, output_2: row.output_1, preference: 1.5 }));
  const own = same.map((row) => ({ ...row, generator_2: "gpt4_1106_preview" }));
  const rows = await leaderboard([file("same.json", same), file("own.json", own)], gamedFile);
  expect(rows.map((row) => [row.model, row.length_controlled_winrate, row.lc_standard_error])).toEqual([
    ["claude-2.1", null, null],
    ["gpt4_1106_preview", 50, 0],
  ]);
  expect(rows[0]!.notes).toEqual([
    expect.stringContaining("no length-controlled rate: all outputs differ by the same"),
  ]);
});

test("a leaderboard.csv has alpaca-eval's columns, and names with commas stay whole", async () => {
  const [row] = await leaderboard([file("csv.json", annotationsOf("claude-2.1"))], undefined);
  const [head, line] = leaderboardCsv([{ ...row!, model: 'a "b", c' }]).split("\n");
  expect(head).toBe(
    ",win_rate,standard_error,n_wins,n_wins_base,n_draws,n_total,discrete_win_rate,mode,avg_length,length_controlled_winrate,lc_standard_error",
  );
  expect(line).toMatch(/^"a ""b"", c",15\.7335\d+,1\.1203\d+,115,688,2,805,14\.4099\d+,community,1096,,$/);
});

test.each([
  ["a missing field", [{ ...annotationsOf("claude-2.1")[0]!, instruction: undefined }], "instruction", "is missing"],
  ["a preference out of range", [{ ...annotationsOf("claude-2.1")[0]!, preference: 3 }], "preference", "from 1 to 2"],
  ["an instruction twice", [0, 0].map((at) => annotationsOf("claude-2.1")[at]!), "instruction", "above already"],
  [
    "another baseline",
    annotationsOf("claude-2.1")
      .slice(0, 2)
      .map((each, at) => ({ ...each, generator_1: `b${at}` })),
    "generator_1",
    "is compared with b1 here",
  ],
])("%s is an error that names file, line and field", async (_, rows, field, message) => {
  const path = file("bad.json", rows);
  await expect(leaderboard([path], undefined)).rejects.toMatchObject({
    message: expect.stringContaining(message),
    place: expect.objectContaining({ file: path, field }),
  });
});

test("a file of gamed rows in another order is refused", async () => {
  const path = file("short.csv", "index,preference,std_delta_len,instruction_difficulty\n1,0.5,0,0\n");
  await expect(leaderboard([file("m.json", annotationsOf("claude-2.1"))], path)).rejects.toThrow("instruction 1");
});
