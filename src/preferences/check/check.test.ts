import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { writeTable } from "../../data/index.ts";
import { digestTable } from "./digest-table.ts";
import { checkData, type DataCheckOptions } from "./index.ts";
import { lengths } from "./lengths.ts";

const folder = mkdtempSync(join(tmpdir(), "check-"));
afterAll(() => rmSync(folder, { recursive: true }));

const plain: DataCheckOptions = {
  against: [],
  ngram: 13,
  nearDuplicates: 0.8,
  maxCharacters: 100_000,
  progress() {},
};

const written = (name: string, rows: readonly unknown[]) => {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return file;
};
const check = (rows: readonly unknown[], options: Partial<DataCheckOptions> = {}) =>
  checkData(written("rows.jsonl", rows), { ...plain, ...options });
const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected });
/** Lines of each kind of finding. */
const linesOf = ({ problems, notes }: Awaited<ReturnType<typeof check>>) =>
  Object.fromEntries(
    Object.entries({ ...problems, ...notes }).map(([kind, of]) => [kind, of.first.map(({ line }) => line)]),
  );

test("a file with nothing wrong", async () => {
  const found = await check([pair("One?", "yes", "no"), pair("Two, quite another thing", "a longer one", "b")]);
  expect(found).toMatchObject({ rows: 2, problems: {}, notes: {}, chosenLonger: { longer: 2, pairs: 2 } });
  expect(found.lengths.target_chosen).toMatchObject({ count: 2, least: 3, most: 12 });
});

test("each kind of problem is told with its line, and reading goes on after it", async () => {
  const found = await check(
    [
      pair("Which river runs through Vienna?", "The Danube.", "The Rhine."),
      "{broken",
      pair("What is a leap year?", "", "A year."),
      pair("What is rain?", "Water.", "Water."),
      { prompt: "no answer here" },
      pair("Which river runs through Vienna?", "The Rhine.", "The Danube."),
      "",
      pair("Which river runs through Vienna?", "The Danube.", "The Rhine."),
      pair("Name a tree.", "Oak<|im_end|>", "Stone"),
      { ...pair("Name a fish.", "Pike", "Stone"), score_chosen: 1, score_rejected: 2 },
      { ...pair("Name a bird.", "Wren", "Stone"), score_chosen: null },
      pair("Long, please.", "x".repeat(2000), "y"),
      pair("Which river runs through Vienna, please?", "That is the Danube.", "No idea."),
      '{"prompt": "Half?", "chosen": "\\ud800", "rejected": "b"}',
    ],
    { maxCharacters: 1000, nearDuplicates: 0.7 },
  );
  expect(linesOf(found)).toEqual({
    form: [2, 5],
    empty: [3],
    same: [4],
    contradiction: [6],
    duplicate: [8],
    template: [9],
    score: [10, 11],
    long: [12],
    near_duplicate: [13],
    surrogate: [14],
    repeated_prompt: [6],
  });
  expect(found.rows).toBe(13);
  expect(found.problems.form!.first[1]).toMatchObject({ message: "the row has no chosen and no rejected" });
});

test("quadruples: y_ws and y_wt are both better than y_l; the opposite elsewhere is a contradiction", async () => {
  const turn = (content: string) => ({ role: "assistant", content });
  const row = (ws: string, wt: string, l: string) => ({
    prompt_id: "1",
    prompt: { role: "user", content: "Q?" },
    chosen: [turn(ws), turn(wt)],
    rejected: [turn(l)],
  });
  const found = await check([row("a", "b", "c"), row("c", "d", "a"), row("c", "e", "b"), row("f", "g", "f")]);
  expect(linesOf(found)).toMatchObject({ contradiction: [2, 3], same: [4] });
});

test("labels that contradict each other", async () => {
  const row = (completion: string, label: boolean) => ({ prompt: "Q?", completion, label });
  expect(linesOf(await check([row("a", true), row("b", false), row("a", false), row("b", false)]))).toEqual({
    contradiction: [3],
    duplicate: [4],
    repeated_prompt: [2, 3],
  });
});

test("leaks into evaluation sets, of prompts and of responses, with the row that is shared", async () => {
  const question = "How many apples does Ann have when she gives three of her fifteen apples away to Ben?";
  const against = [
    written("gsm.jsonl", [{ question: "Another one?" }, { question }]),
    written("chat.jsonl", [
      { messages: [{ role: "user", content: "Write a haiku about the rain that falls in May on hills." }] },
    ]),
  ];
  const found = await check(
    [
      pair(`Please say: ${question}`, "12", "13"),
      pair("Poems", "write a HAIKU, about the rain that falls in May on hills", "no"),
      pair("How many apples does Ann have?", "2", "3"),
    ],
    { against, ngram: 8 },
  );
  expect(found.problems.leak).toMatchObject({
    count: 2,
    first: [
      { line: 1, field: "prompt", message: expect.stringContaining(`${against[0]}:2`) },
      { line: 2, field: "target_chosen", message: expect.stringContaining(`${against[1]}:1`) },
    ],
  });
  await expect(check([pair("a", "b", "c")], { against: [written("odd.jsonl", [{ a: 1 }])] })).rejects.toThrow(
    "none of the fields",
  );
});

describe("files", () => {
  test("a Parquet file that lacks a column: it is told once, with the columns that there are", async () => {
    const file = join(folder, "lacking.parquet");
    const table = writeTable(
      file,
      ["prompt", "chosen"].map((name) => ({ name, type: "text", nullable: false })),
    );
    table.add([
      { prompt: "a", chosen: "b" },
      { prompt: "c", chosen: "d" },
    ]);
    table.finish();
    await expect(checkData(file, plain)).rejects.toMatchObject({
      message:
        "the fields (prompt, chosen) are of no format that is known: of {prompt, chosen, rejected} there is no rejected",
      place: { file },
    });
  });

  test("UltraFeedback-binarized as pyarrow writes it", async () => {
    const file = fileURLToPath(new URL("../fixtures/binarized.parquet", import.meta.url));
    expect(linesOf(await checkData(file, { ...plain, nearDuplicates: 0 }))).toEqual({
      empty: [4],
      same: [5],
      score: [6],
    });
  });

  test("a data set's folder is one set of rows: what repeats in another file is found, and each finding has its file", async () => {
    const shards = join(folder, "shards");
    mkdirSync(shards);
    const shard = (name: string, prompts: readonly string[]) => {
      const table = writeTable(
        join(shards, name),
        ["prompt", "chosen", "rejected"].map((column) => ({ name: column, type: "text", nullable: false }) as const),
      );
      table.add(prompts.map((prompt) => pair(prompt, `yes to ${prompt}`, "no")));
      table.finish();
    };
    shard("train-00000-of-00002.parquet", ["a first one", "another thing"]);
    shard("train-00001-of-00002.parquet", ["something else", "a first one"]);
    shard("test-00000-of-00001.parquet", ["a first one"]);
    const found = await checkData(shards, { ...plain, nearDuplicates: 0 });
    expect(found).toMatchObject({
      rows: 4,
      files: ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
      problems: {
        duplicate: {
          first: [
            {
              file: "train-00001-of-00002.parquet",
              line: 2,
              message: "says what row 1 of train-00000-of-00002.parquet says",
            },
          ],
        },
      },
    });
    const test = await checkData(shards, { ...plain, split: "test" });
    expect(test).toMatchObject({ rows: 1, problems: {}, files: ["test-00000-of-00001.parquet"] });
    await expect(checkData(join(shards, "test-00000-of-00001.parquet"), { ...plain, split: "test" })).rejects.toThrow(
      "a file has no splits, and test was asked for",
    );
  });

  test("no rows, no file", async () => {
    await expect(check([])).rejects.toThrow("there are no rows in it");
    await expect(checkData(join(folder, "none.jsonl"), plain)).rejects.toThrow("there is no such file");
  });

  test("a row of a million characters", async () => {
    const long = Array.from({ length: 150_000 }, (_, at) => `w${at}`).join(" ");
    expect(linesOf(await check([pair(long, "a", "b"), pair(`${long} more`, "a", "b")]))).toMatchObject({
      long: [1, 2],
      near_duplicate: [2],
    });
  });
});

test("the table of digests finds what was put, and nothing else", () => {
  const table = digestTable();
  const digest = (at: number) => (at * 2_654_435_761).toString(16).padStart(13, "0");
  for (let at = 1; at <= 5000; at += 1) expect(table.put(digest(at), at)).toBeUndefined();
  for (let at = 1; at <= 5000; at += 1) expect([table.get(digest(at)), table.put(digest(at), 0)]).toEqual([at, at]);
  for (let at = 5001; at <= 6000; at += 1) expect(table.get(digest(at))).toBeUndefined();
});

test("figures of lengths are within 3 % of those of the sorted list", () => {
  const of = lengths();
  const all = Array.from({ length: 1001 }, (_, at) => Math.floor(40 * 1.006 ** at));
  for (const one of all) of.add(one);
  const { median, p95, least, most } = of.figures()!;
  expect([least, most]).toEqual([all[0], all[1000]]);
  expect(Math.abs(median / all[500]! - 1)).toBeLessThan(0.03);
  expect(Math.abs(p95 / all[950]! - 1)).toBeLessThan(0.03);
});
