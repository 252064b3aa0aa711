import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { contentKey, DataError, describeError } from "../schema/index.ts";
import { readPromptSet } from "./prompt-sets.ts";
import { withoutDuplicates } from "./training-prompts.ts";

const folder = mkdtempSync(join(tmpdir(), "prompts-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "prompts.jsonl");

async function read(content: string | Uint8Array, limit?: number, path = file) {
  writeFileSync(path, content);
  return withoutDuplicates(await readPromptSet(path, { limit }), "error");
}

async function refusal(content: string | Uint8Array, path = file): Promise<DataError> {
  const error: unknown = await read(content, undefined, path).catch((reason: unknown) => reason);
  if (error instanceof DataError) return error;
  throw new Error("the file was accepted", { cause: error });
}

const row = (value: object) => `${JSON.stringify(value)}\n`;

describe("rows that are read", () => {
  test("a prompt is one user turn, its id the content key of the messages", async () => {
    const [prompt] = await read(row({ prompt: "Why is the sky blue? 🌍" }));
    const messages = [{ role: "user", content: "Why is the sky blue? 🌍" }];
    expect(prompt).toEqual({ id: contentKey(messages), messages, checks: [] });
  });

  test("messages, id, checks and domain are kept; args default to none", async () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
    ];
    const checks = [{ id: "punctuation:no_comma" }, { id: "startend:end_checker", args: { end_phrase: "Bye." } }];
    expect(await read(row({ id: "a", messages, checks, domain: "greetings" }))).toEqual([
      { id: "a", messages, checks: [{ id: "punctuation:no_comma", args: {} }, checks[1]], domain: "greetings" },
    ]);
  });

  test("byte order mark, CRLF, no last line break, blank lines", async () => {
    const rows = ['{"prompt":"a"}', '{"prompt":"b"}'];
    const texts = async (content: string) => (await read(content)).map((prompt) => prompt.messages[0]!.content);
    for (const content of [`\uFEFF${rows.join("\n")}`, `${rows.join("\r\n")}\r\n`, `${rows.join("\n\n")}\n\n\n`]) {
      expect(await texts(content)).toEqual(["a", "b"]);
    }
  });

  test("a limit takes the first rows and looks at no other", async () => {
    expect(await read(`${row({ prompt: "a" })}${row({ prompt: "b" })}broken`, 2)).toHaveLength(2);
    expect(await read(row({ prompt: "a" }), 5)).toHaveLength(1);
  });
});

describe("rows that are refused", () => {
  const first = row({ id: "one", prompt: "First" });
  const cases: [what: string, content: string, line: number, field: string | undefined, says: RegExp][] = [
    ["broken JSON", `${first}{"prompt": "x"\n`, 2, undefined, /not JSON/],
    ["a row that is no object", `${first}["x"]\n`, 2, undefined, /a list, and should be a map of fields/],
    ["an empty prompt", first + row({ prompt: " \n" }), 2, "prompt", /prompt is empty/],
    ["neither prompt nor messages", first + row({ id: "x" }), 2, undefined, /either `prompt` or `messages`/],
    ["both", first + row({ prompt: "x", messages: [{ role: "user", content: "x" }] }), 2, undefined, /either `prompt`/],
    ["no messages", first + row({ messages: [] }), 2, "messages", /is empty: it needs an entry/],
    ["an empty message", first + row({ messages: [{ role: "user", content: "" }] }), 2, "messages.0.content", /empty/],
    [
      "an answer as the last turn",
      first +
        row({
          messages: [
            { role: "user", content: "Q" },
            { role: "assistant", content: "A" },
          ],
        }),
      2,
      "messages.1.role",
      /last turn is not the user's/,
    ],
    [
      "a wrong role",
      first + row({ messages: [{ role: "human", content: "Q" }] }),
      2,
      "messages.0.role",
      /"human" is not known here/,
    ],
    ["a duplicate id", first + row({ id: "one", prompt: "x" }), 2, "id", /"one" stands in line 1 of .* already/],
    ["an empty id", first + row({ id: "", prompt: "x" }), 2, "id", /is empty/],
    [
      "a duplicate text",
      `${first}${row({ prompt: "y" })}${row({ prompt: " First\n" })}`,
      3,
      undefined,
      /line 1 of .* already/,
    ],
    ["a wrong type", first + row({ prompt: 5 }), 2, "prompt", /is 5, and should be a text/],
    ["a check without id", first + row({ prompt: "x", checks: [{ args: {} }] }), 2, "checks.0.id", /is missing/],
  ];
  test.each(cases)("%s", async (_, content, line, field, says) => {
    const error = await refusal(content);
    expect(error.message).toMatch(says);
    expect(error.place).toEqual({ file, line, ...(field === undefined ? {} : { field }) });
    expect(error.hint).toBeTruthy();
  });

  test("an unknown field names the one that was meant, whatever the file is called", async () => {
    expect(describeError(await refusal(row({ promt: "x" })))).toMatch(
      /prompts\.jsonl:1, promt: an unknown field\n {2}Did you mean prompt\?/,
    );
    for (const name of ["prompts.json", "prompts.ndjson"])
      expect((await refusal(row({ promt: "x" }), join(folder, name))).message).toBe("an unknown field");
    const message = row({ messages: [{ role: "user", contents: "x", content: "x" }] });
    expect(describeError(await refusal(message))).toMatch(
      /messages\.0\.contents.*\n.*Did you mean content\? .*role, content/,
    );
    const check = row({ prompt: "x", checks: [{ id: "a", arg: {} }] });
    expect(describeError(await refusal(check))).toMatch(/checks\.0\.arg:.*\n.*Did you mean args\?/);
  });

  test("an empty file, no file, a list over several lines", async () => {
    expect((await refusal("")).message).toMatch(/no prompts/);
    expect((await refusal("\n \n")).message).toMatch(/no prompts/);
    await expect(readPromptSet(join(folder, "none.jsonl"), {})).rejects.toThrow(/no such file/);
    expect((await refusal("[\n{}]", join(folder, "list.jsonl"))).hint).toMatch(/one JSON object a line/);
  });

  test("half a surrogate pair is named by its field", async () => {
    const half = '"a \\ud800 b"';
    for (const [text, field] of [
      [`{"prompt": ${half}}`, "prompt"],
      [
        `{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": ${half}}]}`,
        "messages.1.content",
      ],
    ] as const)
      expect(await refusal(`${row({ prompt: "a" })}${text}\n`)).toMatchObject({
        message: expect.stringContaining("half a surrogate pair"),
        place: { file, line: 2, field },
      });
    expect(await read(row({ prompt: "a whole one: \u{1f30d}" }))).toHaveLength(1);
  });

  test("bytes that are not UTF-8 are named by their line", async () => {
    const start = Buffer.from(`${row({ prompt: "Grüße, 🌍" })}{"prompt": "caf`);
    for (const bytes of [[0xe9, 0x22, 0x7d, 0x0a], [0xf0, 0x9f], [0xff]]) {
      const error = await refusal(Buffer.concat([start, Buffer.from(bytes)]));
      expect(error.message).toMatch(/not UTF-8/);
      expect(error.place).toEqual({ file, line: 2 });
    }
  });
});
