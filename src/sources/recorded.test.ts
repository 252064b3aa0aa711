import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError, type SampleOutcome } from "../schema/index.ts";
import { openRecorded } from "./recorded.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amalgam-recorded-"));
});
afterAll(() => rm(folder, { recursive: true }));

const never = new AbortController().signal;
const sampling = { temperature: 1, top_p: 1, top_k: 0, max_tokens: 8, stop: [], seed: 1 };
let files = 0;
const written = async (content: string | Uint8Array): Promise<string> => {
  const file = join(folder, `${files++}.jsonl`);
  await writeFile(file, content);
  return file;
};
const openLines = async (...rows: unknown[]) =>
  openRecorded("old", await written(rows.map((row) => JSON.stringify(row)).join("\n")));

test("recorded responses by index, or in the file's order; what is missing is named", async () => {
  const source = await openLines(
    { prompt_id: "a", text: "first" },
    { prompt_id: "b", index: 1, text: "zwölf 💡", finish: "length", prompt_tokens: 7, response_tokens: 4 },
    { prompt_id: "a", text: "second" },
  );
  const requests = ["a", "b"].map((promptId) => ({
    promptId,
    messages: [{ role: "user" as const, content: "12345" }],
    indices: [0, 1],
  }));
  const outcomes: SampleOutcome[] = [];
  for await (const outcome of source.sample(requests, sampling, new AbortController().signal)) outcomes.push(outcome);
  outcomes.sort((a, b) => a.promptId.localeCompare(b.promptId) || a.index - b.index);
  expect(outcomes).toEqual([
    { promptId: "a", index: 0, text: "first", finish: "stop", promptTokens: 2, responseTokens: 2 },
    { promptId: "a", index: 1, text: "second", finish: "stop", promptTokens: 2, responseTokens: 2 },
    { promptId: "b", index: 0, failure: expect.stringMatching(/no response 0 to prompt b/) },
    { promptId: "b", index: 1, text: "zwölf 💡", finish: "length", promptTokens: 7, responseTokens: 4 },
  ]);
  await source.close();
});

test("under other names, matched by the prompt, from tables", async () => {
  const file = join(folder, "answers.csv");
  await writeFile(file, 'question,answer,n,model\n"1, 2",one,9,m\nother,x,1,m\n" 1, 2",two,,m\n');
  const fields = {
    prompt: "question",
    text: "answer",
    response_tokens: "n",
    index: "index",
    finish: "finish",
    prompt_tokens: "prompt_tokens",
  };
  const source = await openRecorded("old", file, { fields });
  const requests = [{ promptId: "a", messages: [{ role: "user" as const, content: "1, 2" }], indices: [0, 1, 2] }];
  const outcomes: SampleOutcome[] = [];
  for await (const outcome of source.sample(requests, sampling, new AbortController().signal)) outcomes.push(outcome);
  expect(outcomes).toMatchObject([
    { index: 0, text: "one", responseTokens: 9 },
    { index: 1, text: "two", responseTokens: 1 },
    { index: 2, failure: expect.stringMatching(/no response 2 to prompt a/) },
  ]);
  await writeFile(file, "question,answer,n\n,one,\n");
  const error: unknown = await openRecorded("old", file, { fields }).catch((error: unknown) => error);
  expect(error).toMatchObject({ place: { file, line: 2, field: "question" } });
});

describe("a column that isn't there is told once, with those that are, also where bad rows are skipped", () => {
  const fields = {
    prompt_id: "prompt_id",
    text: "answer",
    response_tokens: "response_tokens",
    index: "index",
    finish: "finish",
    prompt_tokens: "prompt_tokens",
  };
  test.each([
    ["the text", undefined, "there is no column text", "Its columns are prompt_id, answer, why"],
    ["one that the recipe names", { ...fields, finish: "whyy" }, "there is no column whyy", "Did you mean why?"],
  ])("in a table: %s", async (_, named, message, hint) => {
    const file = join(folder, "columns.csv");
    await writeFile(file, "prompt_id,answer,why\na,one,stop\na,two,length\n");
    for (const bad_rows of ["error", "skip"] as const)
      await expect(openRecorded("old", file, { bad_rows, ...(named && { fields: named }) })).rejects.toMatchObject({
        message,
        hint: expect.stringContaining(hint),
        place: { file },
      });
    await (await openRecorded("old", file, { fields })).close();
  });

  test("in JSONL", async () => {
    const file = await written('{"prompt_id": "a", "answer": "one"}\n{"prompt_id": "b", "answer": "two"}\n');
    await expect(openRecorded("old", file)).rejects.toMatchObject({
      message: "is missing",
      hint: expect.stringContaining("It has prompt_id, answer."),
      place: { line: 1, field: "text" },
    });
    await expect(openRecorded("old", file, { bad_rows: "skip" })).rejects.toThrow("none of its 2 rows is a response");
  });
});

describe("`bad_rows: skip`", () => {
  const drawn = async (file: string) => {
    const skipped: DataError[] = [];
    const source = await openRecorded("old", file, { bad_rows: "skip" }, { skip: (bad) => skipped.push(bad) });
    const requests = ["a", "b"].map((promptId) => ({
      promptId,
      messages: [{ role: "user" as const, content: "?" }],
      indices: [0, 1, 2],
    }));
    // Twice: what was passed over when the rows were checked is passed over again, and not told again.
    for await (const _ of source.sample(requests, sampling, never));
    const outcomes: SampleOutcome[] = [];
    for await (const outcome of source.sample(requests, sampling, never)) outcomes.push(outcome);
    const texts = outcomes.map(({ promptId, index, ...rest }) => [
      `${promptId}${index}`,
      "failure" in rest ? "lacking" : rest.text,
    ]);
    return { texts: Object.fromEntries(texts), skipped };
  };

  test("broken rows of every kind are told once with their lines; those between them are the responses", async () => {
    const rows: [row: string | Uint8Array, problem?: RegExp][] = [
      ['{"prompt_id":"a","text":"one"}'],
      ['{"prompt_id":"a", broken', /not JSON/],
      ['{"prompt_id":"a"}', /is missing/],
      ['{"prompt_id":"a","text":"two","index":1}'],
      ['{"prompt_id":"a","text":"again","index":1}', /there twice/],
      [Uint8Array.from([0x7b, 0xff]), /UTF-8/],
      ["[1]", /./],
      ["null", /./],
      ['{"text":"whose?"}', /is missing/],
      ['{"prompt_id":"b","text":" "}', /empty/],
      ['{"prompt_id":"b","text":"x","finish":"late"}', /late/],
      ['{"prompt_id":"b","text":"x","index":-1}', /./],
      // A row that was passed over takes no place: this is response 0.
      ['{"prompt_id":"b","text":"three"}'],
    ];
    const file = await written(Buffer.concat(rows.flatMap(([row]) => [Buffer.from(row), Buffer.from("\n")])));
    const { texts, skipped } = await drawn(file);
    expect(texts).toEqual({ a0: "one", a1: "two", a2: "lacking", b0: "three", b1: "lacking", b2: "lacking" });
    const bad = rows.flatMap(([, problem], at) => (problem === undefined ? [] : [{ line: at + 1, problem }]));
    expect(skipped.map(({ place }) => place)).toMatchObject(bad.map(({ line }) => ({ file, line })));
    for (const [at, { problem }] of bad.entries()) expect(skipped[at]!.message).toMatch(problem);
  });

  test("of a table, too", async () => {
    const file = join(folder, "bad.csv");
    await writeFile(file, "prompt_id,text,index\na,one,0\n,two,0\na,,1\na,three,first\nb,four,2\n");
    const { texts, skipped } = await drawn(file);
    expect(texts).toMatchObject({ a0: "one", a1: "lacking", b2: "four" });
    expect(skipped.map(({ place: { line, field } }) => [line, field])).toEqual([
      [3, "prompt_id"],
      [4, "text"],
      [5, "index"],
    ]);
  });

  test("a file that isn't there is an error all the same", async () => {
    await expect(openRecorded("old", join(folder, "none.jsonl"), { bad_rows: "skip" })).rejects.toThrow(DataError);
  });
});

test("the identity is the file's content", async () => {
  const one = await openLines({ prompt_id: "a", text: "x" });
  expect((await openLines({ prompt_id: "a", text: "x" })).identity).toBe(one.identity);
  expect((await openLines({ prompt_id: "a", text: "y" })).identity).not.toBe(one.identity);
});

describe("mistakes, with file and line", () => {
  test.each<[string, string | Uint8Array, number, RegExp]>([
    ["broken JSON", '{"prompt_id":"a","text":"x"}\n\n{"prompt_id', 3, /not JSON/],
    ["no text", '{"prompt_id":"a"}\n', 1, /is missing/],
    ["a prompt where `fields` names none", '{"prompt":"a","text":"x"}\n', 1, /is missing/],
    ["an empty text", '{"prompt_id":"a","text":" "}\n', 1, /empty/],
    ["an unknown field", '{"prompt_id":"a","text":"x","txt":1}\n', 1, /txt/],
    ["an index twice", '{"prompt_id":"a","text":"x"}\n{"prompt_id":"a","text":"x","index":0}', 2, /there twice/],
    ["not UTF-8", Uint8Array.from([0x7b, 0xff, 0x0a]), 1, /UTF-8/],
  ])("%s", async (_, content, line, message) => {
    const file = await written(content);
    const error: unknown = await openRecorded("old", file).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).place).toMatchObject({ file, line });
    expect((error as DataError).message).toMatch(message);
  });

  test("no such file", async () => {
    await expect(openRecorded("old", join(folder, "none.jsonl"))).rejects.toThrow(DataError);
  });
});
