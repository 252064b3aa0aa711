import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readRows } from "../../data/index.ts";
import { DataError, type RowFormName } from "../../schema/index.ts";
import { readExamples } from "../read-examples.ts";
import { convertData } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "convert-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const fresh = (ending: string) => join(folder, `${files++}.${ending}`);
function written(...rows: readonly object[]): string {
  const file = fresh("jsonl");
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return file;
}
const convert = (from: string, to: RowFormName, output: string, lossy = false) =>
  convertData(from, output, { to, lossy, progress: () => {} });
/** What a file says, whatever its form: with no word of where it stands. */
async function said(file: string) {
  const found = [];
  const bad = (error: DataError) => {
    throw error;
  };
  for await (const { id, domain, tools, scores, examples } of readExamples(file, bad))
    found.push({ id, domain, tools, scores, examples: examples.map(({ ranked: _, ...example }) => example) });
  return found;
}
async function rowsOf(file: string) {
  const rows = [];
  for await (const { value } of readRows(file)) rows.push(value as Record<string, unknown>);
  return rows;
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
const pairs = [
  {
    prompt_id: "a",
    domain: "maths",
    prompt: "1 + 1?",
    chosen: "2 ✓",
    rejected: "3",
    score_chosen: 0.25,
    score_rejected: -1,
  },
  { prompt_id: "b", prompt: "tools?", chosen: "yes\n", rejected: " no", tools },
];
const talk = {
  prompt_id: "c",
  prompt: [{ role: "system", content: "s" }, user("x"), assistant("y"), user("z")],
  chosen: [assistant("good")],
  rejected: [assistant("bad")],
};
const quadruple = {
  prompt_id: "q",
  prompt: user("x"),
  chosen: ["best", "second", "own"].map(assistant),
  rejected: ["worst", "worst of sources"].map(assistant),
};
const ultra = {
  source: "flan",
  instruction: "x",
  completions: [
    { model: "m1", response: "one", overall_score: 1 },
    { model: "m2", response: "two", overall_score: 9 },
    { model: "m3", response: "three", overall_score: 5 },
  ],
};

describe.each(["jsonl", "parquet"])("as %s", (ending) => {
  test.each([
    ["preferences", pairs],
    ["preferences", [talk]],
    ["texts", pairs],
    ["binarized", pairs],
    ["binarized", [talk]],
    ["quadruples", [quadruple]],
    ["completions", [{ prompt_id: "a", prompt: "x", completion: "y" }]],
    ["unpaired", [{ prompt_id: "a", prompt: "x", completion: "y", label: false }]],
  ] as const)("%s say all that was said, and are what they were when they come back", async (to, rows) => {
    const from = written(...rows);
    const there = fresh(ending);
    expect(await convert(from, to, there)).toEqual({ read: rows.length, written: rows.length, leftOut: {}, lost: {} });
    expect(await said(there)).toEqual(await said(from));
    const back = fresh("jsonl");
    await convert(there, to, back);
    expect(await rowsOf(back)).toEqual(await rowsOf(ending === "jsonl" ? there : back));
    expect(await said(back)).toEqual(await said(from));
  });

  test("a conversation is one row of messages, and a row for each answer of completions", async () => {
    const messages = [user("a"), assistant("b"), user("c"), assistant("d")];
    const from = written({ prompt_id: "m", messages });
    const [whole, each] = [fresh(ending), fresh(ending)];
    await convert(from, "messages", whole);
    expect((await rowsOf(whole))[0]!.messages).toEqual(messages);
    await convert(from, "completions", each);
    expect((await said(each)).map(({ id, examples }) => [id, examples])).toEqual(
      (await said(from))[0]!.examples.map((example, at) => [`m#${at + 1}`, [example]]),
    );
  });

  test.each([
    { messages: [user("a"), assistant("b"), user("c")] },
    {
      conversations: [
        { from: "human", value: "a" },
        { from: "gpt", value: "b" },
        { from: "human", value: "c" },
      ],
    },
  ])("turns after the last answer are no more passed over in silence than columns", async (row) => {
    const from = written(row);
    await expect(convert(from, "messages", fresh(ending))).rejects.toThrow("the turns after the last answer");
    const there = fresh(ending);
    const { lost } = await convert(from, "messages", there, true);
    expect(lost).toEqual({ "the turns after the last answer": 1 });
    expect((await rowsOf(there))[0]!.messages).toEqual([user("a"), assistant("b")]);
  });

  test("UltraFeedback with all of its responses as scored ones, but for who wrote them", async () => {
    const from = written(ultra);
    await expect(convert(from, "scored", fresh(ending))).rejects.toMatchObject({
      message: "scored can't hold all of the row: which model wrote a response",
      hint: expect.stringContaining("--lossy"),
      place: { file: from, line: 1 },
    });
    const there = fresh(ending);
    expect(await convert(from, "scored", there, true)).toEqual({
      read: 1,
      written: 1,
      leftOut: {},
      lost: { "which model wrote a response": 1 },
    });
    expect((await rowsOf(there))[0]).toMatchObject({
      domain: "flan",
      prompt: "x",
      all_generated_responses: ["one", "two", "three"],
      all_rm_scores: [1, 9, 5],
      chosen: [user("x"), assistant("two")],
      rejected: [user("x"), assistant("one")],
    });
  });

  test("pairs become two answers with a label", async () => {
    const there = fresh(ending);
    await convert(written({ ...pairs[1]! }), "unpaired", there);
    expect((await rowsOf(there)).map(({ completion, label }) => [completion, label])).toEqual([
      [[assistant("yes\n")], true],
      [[assistant(" no")], false],
    ]);
  });
});

describe("what the form can't hold is refused, or counted", () => {
  test.each<[string, object, RowFormName, string]>([
    ["responses of sources", quadruple, "preferences", "the responses of sources (y_ws)"],
    ["other responses", ultra, "preferences", "responses that are neither chosen nor rejected"],
    ["scores", pairs[0]!, "unpaired", "scores"],
    ["the rejected response", pairs[1]!, "completions", "all responses but the preferred one"],
    ["columns of no meaning here", { ...pairs[1], margin: 3 }, "texts", "the column margin"],
    ["a score that is none", { ...pairs[1], score_chosen: "much" }, "texts", "scores that are no number"],
    ["labels", { prompt: "a", completion: "b", label: true }, "messages", "labels"],
  ])("%s", async (_, row, to, what) => {
    const from = written(row);
    const refused = fresh("jsonl");
    await expect(convert(from, to, refused)).rejects.toMatchObject({
      message: `${to} can't hold all of the row: ${what}`,
      place: { file: from, line: 1 },
    });
    expect(existsSync(refused)).toBe(false);
    const made = await convert(from, to, refused, true);
    expect(made.lost).toHaveProperty([what], 1);
    expect((await rowsOf(refused)).length).toBe(made.written);
  });

  test("rows that can't be written are left out by what is in the way, never in silence", async () => {
    const from = written(
      pairs[0]!,
      talk,
      { ...pairs[0], chosen: 7 },
      { ...pairs[0], chosen: "half \ud83d" },
      pairs[1]!,
    );
    await expect(convert(from, "texts", fresh("jsonl"))).rejects.toMatchObject({ place: { line: 2 } });
    const there = fresh("parquet");
    expect(await convert(from, "texts", there, true)).toEqual({
      read: 5,
      written: 2,
      leftOut: {
        "rows that can't be read or break the form": 2,
        "a text holds half a surrogate pair, which Parquet can't hold": 1,
      },
      lost: {},
    });
    expect((await rowsOf(there)).map(({ prompt_id }) => prompt_id)).toEqual(["a", "b"]);
  });

  test("nothing that can be written, a file that is there, a kind that is not written", async () => {
    const from = written(pairs[1]!);
    await expect(convert(from, "quadruples", fresh("jsonl"), true)).rejects.toThrow(
      "none of its 1 rows can be written",
    );
    const before = readFileSync(from);
    await expect(convert(from, "texts", from)).rejects.toThrow(DataError);
    expect(readFileSync(from)).toEqual(before);
    await expect(convert(from, "texts", fresh("csv"))).rejects.toThrow("a file of a kind that is not written");
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});
