import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type DataRow, dataFaults, readDataRows, type WantedTexts } from "./data-rows.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-formats-"));
afterAll(() => rmSync(folder, { recursive: true }));

const dpo: WantedTexts = { objective: "dpo", roles: ["target_chosen", "rejected"] };
const sft: WantedTexts = { objective: "sft", roles: ["completion"] };

async function read(wanted: WantedTexts, ...given: unknown[]): Promise<DataRow[]> {
  const file = join(folder, "data.jsonl");
  writeFileSync(file, given.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const rows: DataRow[] = [];
  for await (const row of readDataRows([file], wanted)) rows.push(row);
  return rows;
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const system = (content: string) => ({ role: "system", content });
/** What a row teaches: the prompt and the responses. */
const lessons = (rows: readonly DataRow[]) => rows.map(({ messages, responses }) => [messages, responses]);

const turns = [
  { from: "human", value: "a" },
  { from: "gpt", value: "A" },
  { from: "human", value: "b" },
];
const guided = [{ from: "system", value: "s" }, ...turns];
const asked = [system("s"), user("a"), assistant("A"), user("b")];
const gpt = (value: string) => ({ from: "gpt", value });

test("an answer that follows an answer is context only, told and counted; the others are learnt", async () => {
  const found = await read(sft, { conversations: [turns[0], gpt("A"), gpt("A, too"), turns[2], gpt("B")] });
  expect(lessons(found)).toEqual([
    [[user("a")], ["A"]],
    [[user("a"), assistant("A")], ["A, too"]],
    [[user("a"), assistant("A"), assistant("A, too"), user("b")], ["B"]],
  ]);
  const follows = expect.stringContaining("an answer follows no message of the user or of a tool");
  expect(found.map(({ fault }) => fault)).toEqual([undefined, follows, undefined]);
  const [, after] = await read(sft, { messages: [user("a"), assistant("A"), system("s"), assistant("B")] });
  expect(after!.fault).toEqual(follows);
});

test("ShareGPT: every answer of a conversation; calls of functions are context only", async () => {
  expect(lessons(await read(sft, { conversations: [...guided, gpt("B")] }))).toEqual([
    [asked.slice(0, 2), ["A"]],
    [asked, ["B"]],
  ]);
  const call = { from: "function_call", value: '{"name": "f", "arguments": {}}' };
  const found = await read(sft, { conversations: [turns[0], call, { from: "observation", value: "12" }, gpt("noon")] });
  expect(found.map(({ responses, fault }) => [responses[0], fault !== undefined])).toEqual([
    ["", true],
    ["noon", false],
  ]);
  expect(found[1]!.messages).toEqual([
    user("a"),
    { ...assistant(""), tool_calls: [{ type: "function", function: { name: "f", arguments: {} } }] },
    { role: "tool", content: "12" },
  ]);
});

test.each([
  ["one turn each", { conversations: guided, chosen: gpt("w"), rejected: gpt("l") }],
  ["a system text beside", { system: "s", conversations: turns, chosen: gpt("w"), rejected: gpt("l") }],
  ["lists", { conversations: guided, chosen: [gpt("w")], rejected: [gpt("l")] }],
  ["whole conversations", { chosen: [...guided, gpt("w")], rejected: [...guided, gpt("l")] }],
  ["a prompt of messages", { prompt: guided, chosen: gpt("w"), rejected: gpt("l") }],
])("ShareGPT's pairs: %s", async (_, row) => {
  expect(lessons(await read(dpo, row))).toEqual([[asked, ["w", "l"]]]);
});

test("Alpaca: with and without an input, a system text, a history; pairs", async () => {
  const rows = [
    { instruction: "Add.", input: "1 2", output: "3" },
    { instruction: "Greet.", input: "", output: "Hello" },
    { instruction: "Greet.", output: "Hello", system: "s", history: [["a", "A"]] },
  ];
  expect(lessons(await read(sft, ...rows))).toEqual([
    [[user("Add.\n\n1 2")], ["3"]],
    [[user("Greet.")], ["Hello"]],
    [[system("s"), user("a"), assistant("A"), user("Greet.")], ["Hello"]],
  ]);
  expect(lessons(await read(dpo, { instruction: "Add.", input: "1 2", chosen: "3", rejected: "4" }))).toEqual([
    [[user("Add.\n\n1 2")], ["3", "4"]],
  ]);
  await expect(read(sft, { ...rows[2], history: [["a"]] })).rejects.toMatchObject({ place: { field: "history" } });
});

test("HH-RLHF: transcripts share what comes before the last answer; those that give no pair are named", async () => {
  const before = "\n\nHuman: Why?\n\nHow?\n\nAssistant: So.\n\nHuman:  And: Assistant: x? ";
  const good = `${before}\n\nAssistant: w`;
  const found = await read(
    dpo,
    { chosen: good, rejected: `${before}\n\nAssistant: l\n` },
    { chosen: good, rejected: "\n\nHuman: Else?\n\nAssistant: l" },
    { chosen: before, rejected: good },
    { chosen: `${before}\n\nAssistant:`, rejected: good },
  );
  expect(lessons(found)[0]).toEqual([
    [user("Why?\n\nHow?"), assistant("So."), user("And: Assistant: x?")],
    ["w", "l"],
  ]);
  expect(found.map(({ fault }) => fault)).toEqual([
    undefined,
    "the transcripts of chosen and rejected differ before their last answer",
    "a transcript does not end with an answer of the assistant",
    dataFaults.empty,
  ]);
  await expect(read(dpo, { chosen: "\n\nHuman: Why?", rejected: "\n\nHuman: Why?" })).rejects.toThrow("one turn only");
});

test("UltraFeedback: the best and the worst completion by overall_score; what can't be ranked is left out", async () => {
  const row = (...scores: unknown[]) => ({
    source: "evol_instruct",
    instruction: "Name a colour.",
    models: scores.map((_, at) => `m${at}`),
    completions: scores.map((overall_score, at) => ({ model: `m${at}`, response: `r${at}`, overall_score })),
    correct_answers: ["None"],
  });
  const found = await read(dpo, row(4, 7.5, 2, 7.5), row(3, 3), row(1), row(1, null), row(1, "2"));
  expect(found.map(({ messages, responses }) => [messages[0]!.content, ...responses])[0]).toEqual([
    "Name a colour.",
    "r1",
    "r2",
  ]);
  expect(found.map(({ fault }) => fault)).toEqual([
    undefined,
    "all responses have the same score",
    "there are fewer than two responses to choose from",
    "a score is no number",
    undefined,
  ]);
  expect(found[4]!.responses).toEqual(["r1", "r0"]);
});

test("responses with the scores of a reward model, before and after a pair was chosen", async () => {
  const scored = { prompt: "Q", all_generated_responses: ["a", "b", "c"], all_rm_scores: [0.1, 0.3, 0.2] };
  expect(lessons(await read(dpo, scored))).toEqual([[[user("Q")], ["b", "a"]]]);
  const chosen = { ...scored, chosen: [user("Q"), assistant("c")], rejected: [user("Q"), assistant("a")] };
  expect(lessons(await read(dpo, chosen))).toEqual([[[user("Q")], ["c", "a"]]]);
  await expect(read(dpo, { ...scored, all_rm_scores: [1] })).rejects.toThrow("no list with a score for each response");
});
