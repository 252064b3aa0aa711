import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { contentKey, DataError, describeError } from "../schema/index.ts";
import { readPrompts } from "./prompts.ts";

const folder = mkdtempSync(join(tmpdir(), "prompts-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "prompts.jsonl");

function read(content: string | Uint8Array, limit?: number) {
  writeFileSync(file, content);
  return readPrompts(file, { limit });
}

function refusal(content: string | Uint8Array): DataError {
  try {
    read(content);
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
  throw new Error("the file was accepted");
}

const row = (value: object) => `${JSON.stringify(value)}\n`;

describe("rows that are read", () => {
  test("a prompt is one user turn, its id the content key of the messages", () => {
    const [prompt] = read(row({ prompt: "Why is the sky blue? 🌍" }));
    const messages = [{ role: "user", content: "Why is the sky blue? 🌍" }];
    expect(prompt).toEqual({ id: contentKey(messages), messages, checks: [] });
  });

  test("messages, id, checks and domain are kept; args default to none", () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
    ];
    const checks = [{ id: "punctuation:no_comma" }, { id: "startend:end_checker", args: { end_phrase: "Bye." } }];
    expect(read(row({ id: "a", messages, checks, domain: "greetings" }))).toEqual([
      { id: "a", messages, checks: [{ id: "punctuation:no_comma", args: {} }, checks[1]], domain: "greetings" },
    ]);
  });

  test("byte order mark, CRLF, no last line break, line breaks at the end", () => {
    const rows = ['{"prompt":"a"}', '{"prompt":"b"}'];
    const texts = (content: string) => read(content).map((prompt) => prompt.messages[0]!.content);
    for (const content of [`\uFEFF${rows.join("\n")}`, `${rows.join("\r\n")}\r\n`, `${rows.join("\n")}\n\n\n`]) {
      expect(texts(content)).toEqual(["a", "b"]);
    }
  });

  test("a limit takes the first rows and looks at no other", () => {
    expect(read(`${row({ prompt: "a" })}${row({ prompt: "b" })}broken`, 2)).toHaveLength(2);
    expect(read(row({ prompt: "a" }), 5)).toHaveLength(1);
  });
});

describe("rows that are refused", () => {
  const first = row({ id: "one", prompt: "First" });
  const cases: [what: string, content: string, line: number, field: string | undefined, says: RegExp][] = [
    ["broken JSON", `${first}{"prompt": "x"\n`, 2, undefined, /not JSON/],
    ["an empty line between rows", `${first}\n${row({ prompt: "x" })}`, 2, undefined, /empty line/],
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
    ["a duplicate id", first + row({ id: "one", prompt: "x" }), 2, "id", /"one" stands in line 1 already/],
    ["an empty id", first + row({ id: "", prompt: "x" }), 2, "id", /is empty/],
    [
      "a duplicate text",
      `${first}${row({ prompt: "y" })}${row({ prompt: " First\n" })}`,
      3,
      undefined,
      /line 1 already/,
    ],
    ["a wrong type", first + row({ prompt: 5 }), 2, "prompt", /is 5, and should be a text/],
    ["a check without id", first + row({ prompt: "x", checks: [{ args: {} }] }), 2, "checks.0.id", /is missing/],
  ];
  test.each(cases)("%s", (_, content, line, field, says) => {
    const error = refusal(content);
    expect(error.message).toMatch(says);
    expect(error.place).toEqual({ file, line, ...(field === undefined ? {} : { field }) });
    expect(error.hint).toBeTruthy();
  });

  test("an unknown field names the one that was meant", () => {
    expect(describeError(refusal(row({ promt: "x" })))).toMatch(
      /prompts\.jsonl:1, promt: an unknown field\n {2}Did you mean prompt\?/,
    );
    const message = row({ messages: [{ role: "user", contents: "x", content: "x" }] });
    expect(describeError(refusal(message))).toMatch(
      /messages\.0\.contents.*\n.*Did you mean content\? .*role, content/,
    );
    const check = row({ prompt: "x", checks: [{ id: "a", arg: {} }] });
    expect(describeError(refusal(check))).toMatch(/checks\.0\.arg:.*\n.*Did you mean args\?/);
  });

  test("an empty file, no file, a folder", () => {
    expect(refusal("").message).toMatch(/no prompts/);
    expect(refusal("\n \n").message).toMatch(/no prompts/);
    expect(() => readPrompts(join(folder, "none.jsonl"))).toThrow(/no such file/);
    expect(() => readPrompts(folder)).toThrow(/can't be read \(EISDIR\)/);
  });

  test("half a surrogate pair is named by its field", () => {
    const half = '"a \\ud800 b"';
    for (const [text, field] of [
      [`{"prompt": ${half}}`, "prompt"],
      [
        `{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": ${half}}]}`,
        "messages.1.content",
      ],
    ] as const)
      expect(refusal(`${row({ prompt: "a" })}${text}\n`)).toMatchObject({
        message: expect.stringContaining("half a surrogate pair"),
        place: { file, line: 2, field },
      });
    expect(read(row({ prompt: "a whole one: \u{1f30d}" }))).toHaveLength(1);
  });

  test("bytes that are not UTF-8 are named by line and offset", () => {
    const start = Buffer.from(`${row({ prompt: "Grüße, 🌍" })}{"prompt": "caf`);
    const error = refusal(Buffer.concat([start, Buffer.from([0xe9]), Buffer.from('"}\n')]));
    expect(error.message).toContain(`offset ${start.length} `);
    expect(error.place).toEqual({ file, line: 2 });
    const cut = refusal(Buffer.concat([start, Buffer.from([0xf0, 0x9f])]));
    expect(cut.message).toContain(`offset ${start.length} `);
    const stray = refusal(Buffer.concat([start, Buffer.from([0xff]), Buffer.from('"}\n')]));
    expect(stray.message).toContain(`offset ${start.length} `);
  });
});
