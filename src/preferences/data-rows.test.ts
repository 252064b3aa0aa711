import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type DataRow, dataFaults, readDataRows, sourceResponsesOf, type WantedTexts } from "./data-rows.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-data-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const fixtureJson = (name: string) => JSON.parse(readFileSync(fixture(name), "utf8"));

let files = 0;
function jsonl(...rows: unknown[]): string {
  const file = join(folder, `data-${files++}.jsonl`);
  writeFileSync(file, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return file;
}

const dpo: WantedTexts = { objective: "dpo", roles: ["target_chosen", "rejected"] };
const wrpo: WantedTexts = { objective: "wrpo", roles: ["source_chosen", "target_chosen", "rejected"] };
const sft: WantedTexts = { objective: "sft", roles: ["completion"] };

async function read(wanted: WantedTexts, ...paths: string[]): Promise<DataRow[]> {
  const rows: DataRow[] = [];
  for await (const row of readDataRows(paths, wanted)) rows.push(row);
  return rows;
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const quadruple = (chosen: readonly string[]) => ({
  prompt: user("x"),
  chosen: chosen.map(assistant),
  rejected: [assistant("l")],
});
const system = (content: string) => ({ role: "system", content });

/** What a row teaches: the prompt and the responses. */
const lessons = (rows: readonly DataRow[]) => rows.map(({ messages, responses }) => [messages, responses]);

describe("pairs", () => {
  test.each([
    ["texts", { prompt: "x", chosen: "w", rejected: "l" }],
    ["messages", { prompt: [user("x")], chosen: [assistant("w")], rejected: [assistant("l")] }],
    ["one message each", { prompt: user("x"), chosen: assistant("w"), rejected: assistant("l") }],
    [
      "messages that repeat the prompt",
      { prompt: [user("x")], chosen: [user("x"), assistant("w")], rejected: [user("x"), assistant("l")] },
    ],
    ["an implicit prompt", { chosen: [user("x"), assistant("w")], rejected: [user("x"), assistant("l")] }],
    [
      "a prompt text beside conversations",
      { prompt: "x", chosen: [user("x"), assistant("w")], rejected: [user("x"), assistant("l")], messages: [] },
    ],
    ["a prompt text beside answers", { prompt: "x", chosen: [assistant("w")], rejected: [assistant("l")] }],
    [
      "parts that are texts",
      {
        prompt: [{ role: "user", content: [{ type: "text", text: "x" }] }],
        chosen: [assistant("w")],
        rejected: [assistant("l")],
      },
    ],
  ])("as %s teach the same", async (_, row) => {
    expect(lessons(await read(dpo, jsonl(row)))).toEqual([[[user("x")], ["w", "l"]]]);
  });

  test("without a prompt have the one that TRL extracts", async () => {
    const cases = fixtureJson("implicit-prompts.json") as {
      row: unknown;
      prompt: unknown;
      chosen: { content: string }[];
      rejected: { content: string }[];
    }[];
    expect(cases.length).toBe(4);
    expect(lessons(await read(dpo, jsonl(...cases.map(({ row }) => row))))).toEqual(
      cases.map(({ prompt, chosen, rejected }) => [prompt, [chosen[0]!.content, rejected[0]!.content]]),
    );
  });

  test("keep a system message, tools and fields of turns that the template may know", async () => {
    const tools = [{ type: "function", function: { name: "clock" } }];
    const calls = [{ type: "function", function: { name: "clock", arguments: {} } }];
    const prompt = [
      system("s"),
      user("x"),
      { role: "assistant", content: null, tool_calls: calls },
      { role: "tool", name: "clock", content: "12:00" },
    ];
    const row = { prompt, chosen: [assistant("noon")], rejected: [assistant("night")], tools: JSON.stringify(tools) };
    const [found] = await read(dpo, jsonl(row));
    expect(found).toMatchObject({ tools, responses: ["noon", "night"] });
    expect(found!.messages).toEqual([
      prompt[0],
      prompt[1],
      { role: "assistant", content: "", tool_calls: calls },
      prompt[3],
    ]);
  });
});

describe("Parquet", () => {
  test.each(["binarized.parquet", "snappy.parquet"])("%s reads as pyarrow reads it", async (name) => {
    const rows = fixtureJson("binarized.json") as {
      prompt: string;
      prompt_id: string;
      chosen: { content: string }[];
      rejected: { content: string }[];
    }[];
    const found = await read(dpo, fixture(name));
    expect(found.map(({ id, line }) => [id, line])).toEqual(rows.map(({ prompt_id }, index) => [prompt_id, index + 1]));
    expect(lessons(found)).toEqual(
      rows.map(({ prompt, chosen, rejected }) => [[user(prompt)], [chosen[1]!.content, rejected[1]!.content]]),
    );
    const { empty, same, score } = dataFaults;
    expect(found.map(({ fault }) => fault)).toEqual([undefined, undefined, undefined, empty, same, score, undefined]);
  });

  test("that was cut off is told", async () => {
    const file = join(folder, "cut.parquet");
    writeFileSync(file, readFileSync(fixture("snappy.parquet")).subarray(0, 900));
    await expect(read(dpo, file)).rejects.toThrow("the Parquet file can't be read");
  });
});

describe("quadruples", () => {
  const row = {
    prompt_id: "p",
    prompt: user("x"),
    chosen: [assistant("ws"), assistant("wt")],
    rejected: [assistant("l"), assistant("ls")],
  };
  test("give each objective what it compares", async () => {
    const file = jsonl(row);
    const all: WantedTexts = { objective: "eq9", roles: [...wrpo.roles, "source_rejected"] };
    const responses = await Promise.all([wrpo, dpo, sft, all].map(async (wanted) => (await read(wanted, file))[0]));
    expect(responses.map((found) => found!.responses)).toEqual([
      ["ws", "wt", "l"],
      ["wt", "l"],
      ["ws"],
      ["ws", "wt", "l", "ls"],
    ]);
    expect(responses[0]!.id).toBe("p");
  });

  test("of several sources: all of chosen but the last, as many as the first row has", async () => {
    const file = jsonl(quadruple(["s1", "s2", "t"]));
    expect(await sourceResponsesOf([jsonl({ prompt: "x", completion: "y" }), file])).toBe(2);
    expect(await sourceResponsesOf([jsonl({ prompt: "x", completion: "y" })])).toBe(1);
    const two: WantedTexts = { objective: "wrpo", roles: ["source_chosen", ...wrpo.roles] };
    expect((await read(two, file))[0]!.responses).toEqual(["s1", "s2", "t", "l"]);
    expect((await read(dpo, file))[0]!.responses).toEqual(["t", "l"]);
    expect((await read(sft, file))[0]!.responses).toEqual(["s1"]);
  });

  test("of the published form are what this program writes", async () => {
    const found = await read(wrpo, fixture("golden-quadruples.jsonl"));
    expect(found).toHaveLength(16);
    expect(found.every(({ responses, fault }) => responses.length === 3 && fault === undefined)).toBe(true);
  });
});

describe("single answers", () => {
  test("every answer of a conversation is learnt, with what stands before it", async () => {
    const messages = [system("s"), assistant("Welcome."), user("a"), assistant("A"), user("b"), assistant("B")];
    const found = await read(sft, jsonl({ id: 7, messages }));
    expect(found.map(({ id }) => id)).toEqual(["7#1", "7#2"]);
    expect(lessons(found)).toEqual([
      [messages.slice(0, 3), ["A"]],
      [messages.slice(0, 5), ["B"]],
    ]);
  });

  test("completions, preferences and conversations stand beside one another in several files", async () => {
    const told: string[] = [];
    const paths = [
      jsonl({ prompt: "x", completion: "y" }),
      jsonl({ prompt: [user("x")], completion: [assistant("y")] }),
      jsonl({ prompt: "x", chosen: "y", rejected: "z" }),
      jsonl({ messages: [user("x"), assistant("y")] }),
    ];
    const rows: DataRow[] = [];
    for await (const row of readDataRows(paths, sft, (_, words) => told.push(words))) rows.push(row);
    expect(lessons(rows)).toEqual(paths.map(() => [[user("x")], ["y"]]));
    expect(told.map((words) => words.split(/[:(]/)[0]!.trim())).toEqual([
      "prompts with a completion",
      "prompts with a completion",
      "preferences",
      "conversations",
    ]);
  });
});

const kto: WantedTexts = { objective: "kto", roles: ["target_chosen", "rejected"], unpaired: true };

test("for an objective that learns from single answers: by their labels, or both of a pair", async () => {
  const rows = [true, false].map((label) => ({ prompt: "x", completion: [assistant("y")], label }));
  const found = await read(kto, jsonl(...rows), jsonl({ prompt: "x", chosen: "w", rejected: "l" }));
  expect(found.map(({ roles }) => roles)).toEqual([["target_chosen"], ["rejected"], undefined]);
  expect(lessons(found)).toEqual([...rows.map(() => [[user("x")], ["y"]]), [[user("x")], ["w", "l"]]]);
});

describe("rows from which nothing can be learnt", () => {
  test.each([
    ["an empty response", dataFaults.empty, { prompt: "x", chosen: " \n", rejected: "l" }],
    ["the same response twice", dataFaults.same, { prompt: "x", chosen: "w", rejected: "w" }],
    ["half a character", dataFaults.surrogate, '{"prompt": "x", "chosen": "w\\ud83d", "rejected": "l"}'],
    ["half a character in the prompt", dataFaults.surrogate, '{"prompt": "\\udc00", "chosen": "w", "rejected": "l"}'],
    [
      "a score that Python calls NaN",
      dataFaults.score,
      '{"prompt": "x", "chosen": "w \\"NaN", "rejected": "l", "score_chosen": NaN, "score_rejected": -Infinity}',
    ],
    ["no score", dataFaults.score, { prompt: "x", chosen: "w", rejected: "l", score_chosen: null }],
  ])("%s is named", async (_, fault, row) => {
    expect((await read(dpo, jsonl(row))).map((found) => found.fault)).toEqual([fault]);
  });
});

describe("rows that are not what they should be", () => {
  const good = { prompt: "x", chosen: "w", rejected: "l" };
  const messages = { prompt: [user("x")], chosen: [assistant("w")], rejected: [assistant("l")] };
  test.each<[string, WantedTexts, unknown[], string, string?]>([
    [
      "no second",
      wrpo,
      [good],
      "wrpo needs y_ws, the first of `chosen` of the interchange format, `chosen`, `rejected`",
    ],
    [
      "no pair",
      dpo,
      [{ messages: [user("x"), assistant("y")] }],
      "dpo needs `chosen`, `rejected`: the row has no `chosen`",
    ],
    [
      "a label",
      dpo,
      [{ prompt: "x", completion: "y", label: true }],
      "dpo needs `chosen`, `rejected`: the row has a label",
    ],
    ["a label for sft", sft, [{ prompt: "x", completion: "y", label: false }], "the row has a label"],
    ["no label", { ...dpo, unpaired: true }, [{ prompt: "x", completion: "y" }], "the row has no label"],
    [
      "a label that is none",
      sft,
      [{ prompt: "x", completion: "y", label: "yes" }],
      'label is "yes", and should be true or false',
      "label",
    ],
    ["a field less", dpo, [good, { prompt: "x", chosen: "w" }], "the row has no rejected"],
    ["another form", dpo, [good, messages], "the row is not of the file's format"],
    [
      "unknown fields",
      dpo,
      [{ question: "x", answer: "y" }],
      "the fields (question, answer) are of no format that is known",
    ],
    ["a field that is null", dpo, [{ ...good, chosen: null }], "the fields (prompt, chosen: null, rejected) are of no"],
    [
      "a speaker who is none",
      sft,
      [{ conversations: [{ from: "narrator", value: "x" }] }],
      'the turn is from "narrator"',
      "conversations.0.from",
    ],
    [
      "a call that is none",
      sft,
      [{ conversations: [{ from: "function_call", value: "x" }] }],
      "should be the JSON of one",
    ],
    ["an instruction that is none", sft, [{ instruction: 3, output: "y" }], "is no text", "instruction"],
    [
      "other sources",
      wrpo,
      [quadruple(["s", "t"]), quadruple(["s", "s", "t"])],
      "the row has 2 responses of sources, and the first one has 1",
      "chosen",
    ],
    [
      "too many rejected",
      dpo,
      [{ ...quadruple(["s", "t"]), rejected: [1, 2, 3].map(() => assistant("l")) }],
      "3 responses",
      "rejected",
    ],
    ["no map", dpo, [[1]], "the row is no map of fields"],
    [
      "texts without a prompt",
      dpo,
      [{ chosen: "w", rejected: "l" }],
      "chosen and rejected are texts, and there is no prompt",
    ],
    ["text against message", dpo, [{ ...good, rejected: [assistant("l")] }], "is no text", "rejected"],
    [
      "nothing in common",
      dpo,
      [{ chosen: [user("x"), assistant("w")], rejected: [user("y"), assistant("l")] }],
      "no message in common",
    ],
    [
      "another prompt",
      dpo,
      [{ prompt: "z", chosen: [user("x"), assistant("w")], rejected: [user("x"), assistant("l")] }],
      "the prompt is no turn",
      "prompt",
    ],
    [
      "a role that is none",
      dpo,
      [{ ...messages, prompt: [{ role: "usr", content: "x" }] }],
      'the role is "usr"',
      "prompt.0.role",
    ],
    [
      "a number for a text",
      dpo,
      [{ ...messages, chosen: [{ role: "assistant", content: 3 }] }],
      "is no text",
      "chosen.0.content",
    ],
    [
      "an image",
      dpo,
      [{ ...messages, prompt: [{ role: "user", content: [{ type: "image" }] }] }],
      "holds other parts than texts",
      "prompt.0.content",
    ],
    [
      "several turns",
      dpo,
      [{ ...messages, chosen: [assistant("a"), user("b"), assistant("c")] }],
      "the answer has 3 messages",
      "chosen",
    ],
    [
      "a prompt that is answered",
      dpo,
      [{ ...messages, prompt: [user("x"), assistant("y")] }],
      "the prompt ends with a message of the role assistant",
      "prompt",
    ],
    ["an answer of the user", dpo, [{ ...messages, chosen: [user("w")] }], "the answer has the role user", "chosen"],
    [
      "a call",
      dpo,
      [{ ...messages, chosen: [{ ...assistant(""), tool_calls: [1] }] }],
      "the answer calls tools",
      "chosen",
    ],
    ["tools", dpo, [{ ...good, tools: "{" }], "tools should be a list", "tools"],
    ["no answer", sft, [{ messages: [user("x")] }], "the conversation has no answer of the assistant", "messages"],
    [
      "no answer of gpt",
      sft,
      [{ conversations: [{ from: "human", value: "x" }] }],
      "the conversation has no answer of the assistant",
      "conversations",
    ],
    ["half a line", dpo, ['{"score_chosen": NaN, "prompt": "x'], "this line is not JSON"],
  ])("%s", async (_, wanted, rows, message, field) => {
    const file = jsonl(...rows);
    await expect(read(wanted, file)).rejects.toMatchObject({
      code: "DATA",
      message: expect.stringContaining(message),
      place: { file, line: rows.length, ...(field === undefined ? {} : { field }) },
    });
  });

  test("a file that is none, or has no rows, or is of another kind", async () => {
    await expect(read(dpo, join(folder, "none.jsonl"))).rejects.toThrow("there is no such file");
    await expect(read(dpo, join(folder, "none.parquet"))).rejects.toThrow("there is no such file");
    await expect(read(dpo, jsonl())).rejects.toThrow("the file has no rows");
    writeFileSync(join(folder, "data.txt"), "text");
    await expect(read(dpo, join(folder, "data.txt"))).rejects.toThrow("a file of a kind that is not read");
    for (const list of [[JSON.stringify([good, good])], JSON.stringify([good], null, 2).split("\n")])
      await expect(read(dpo, jsonl(...list))).rejects.toMatchObject({ hint: expect.stringContaining("jq -c '.[]'") });
  });
});
