import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readModelFiles } from "../models/index.ts";
import { testModel } from "../models/testing/test-model.ts";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { DataError, type Message, ModelError, quadrupleRowSchema } from "../schema/index.ts";
import { type Tokenizer, tokenizerFromGguf } from "../tokenizers/index.ts";
import { byteLevelMetadata } from "../tokenizers/testing/synthetic.ts";
import { referenceTokens } from "./reference-tokens.ts";
import { type TextRow, tokeniseRows } from "./rows.ts";

interface Case {
  readonly tokenizer: string;
  readonly max_length: number;
  readonly max_prompt_length: number;
  readonly id: string;
  /** Of rows that are not the golden ones. */
  readonly messages?: Message[];
  readonly responses?: string[];
  readonly prompt: number[];
  readonly ys: number[][];
}
const text = (url: string) => readFileSync(new URL(url, import.meta.url), "utf8");
// Made by the authors' code: bench/fixtures/reference_tokens_truth.py.
const cases = JSON.parse(text("./fixtures/reference-tokens.json")) as Case[];
const golden = new Map(
  text("../preferences/fixtures/golden-quadruples.jsonl")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const { prompt_id, prompt, chosen, rejected } = quadrupleRowSchema.parse(JSON.parse(line));
      const messages = Array.isArray(prompt) ? prompt : [prompt];
      return [prompt_id, { messages, responses: [...chosen, ...rejected].map(({ content }) => content) }] as const;
    }),
);
const rowOf = ({ id, messages, responses }: Case): TextRow =>
  messages === undefined ? { id, ...golden.get(id)! } : { id, messages, responses: responses! };

async function tokenizerOf(name: string): Promise<Tokenizer> {
  if (name === "smollm2" || name === "qwen") return (await readModelFiles(await testModel(name), name)).tokenizer;
  return tokenizerFromGguf(byteLevelMetadata(name.replace("synthetic-", "")), name);
}

describe.each([...new Set(cases.map(({ tokenizer }) => tokenizer))])("the ids are the reference code's: %s", (name) => {
  test("within the limits, with shortened prompts, and with cut responses", async () => {
    const tokenizer = await tokenizerOf(name);
    const own = cases.filter((given) => given.tokenizer === name);
    const kinds = { whole: 0, shortened: 0, cut: 0 };
    for (const given of own) {
      const { prompt, responses, shortened, cut } = referenceTokens(rowOf(given), tokenizer, given);
      expect(prompt, given.id).toEqual(given.prompt);
      expect(responses, given.id).toEqual(given.ys);
      kinds[cut ? "cut" : shortened ? "shortened" : "whole"] += 1;
    }
    expect(kinds.whole).toBeGreaterThanOrEqual(5);
    expect(kinds.cut).toBeGreaterThan(0);
  });
});

test("its defects: headers scored, the end doubled, the system message in every response, short responses cut too", async () => {
  const tokenizer = await tokenizerOf("smollm2");
  const row = (...responses: string[]): TextRow => ({
    id: "a",
    messages: [{ role: "user", content: "Hi" }],
    responses,
  });
  const { responses, prompt } = referenceTokens(row("Hello"), tokenizer, { max_length: 2048, max_prompt_length: 1800 });
  expect(tokenizer.decode(prompt)).toBe("<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
  // The first <|im_start|>, SmolLM2's BOS, is gone.
  expect(tokenizer.decode(responses[0]!)).toMatch(
    /^system\nYou are .*SmolLM.*<\|im_end\|>\n<\|im_start\|>assistant\nHello<\|im_end\|>\n<\|im_end\|>$/s,
  );
  const long = "word ".repeat(1700);
  const limits = { max_length: 2048, max_prompt_length: 1800 };
  const cut = referenceTokens(row(long, "one ".repeat(400), "two ".repeat(500)), tokenizer, {
    ...limits,
    max_length: 1600,
    max_prompt_length: 1352,
  });
  expect(cut.responses.map(({ length }) => length)).toEqual([248, 248, 248]);
  const {
    rows,
    cut: named,
    dropped,
  } = tokeniseRows([row(long, "one")], tokenizer, {
    ...limits,
    max_length: 1600,
    max_prompt_length: 1352,
    overlong: "error",
    tokenisation: "wrpo_reference",
  });
  expect([named, dropped, rows[0]!.responses[0]!.length]).toEqual([["a"], [], 248]);
});

test("tokenizers and templates that the reference code fails for are errors with what to do", async () => {
  const { tokenizer } = await tinyModel("llama");
  const row: TextRow = { id: "a", messages: [{ role: "user", content: "Hi" }], responses: ["Hello"] };
  const limits = { max_length: 2048, max_prompt_length: 1800 };
  expect(() => referenceTokens(row, { ...tokenizer, bosId: undefined }, limits)).toThrow(ModelError);
  const strict = "{% if messages[0].role != 'user' %}{{ raise_exception('users first') }}{% endif %}x";
  const gguf = byteLevelMetadata("qwen2").set("tokenizer.chat_template", strict);
  expect(() => referenceTokens(row, tokenizerFromGguf(gguf, "strict"), limits)).toThrow(/users first/);
  const melting = "{% for m in messages %}{{ m.content }}{% endfor %}";
  const plain = tokenizerFromGguf(byteLevelMetadata("qwen2").set("tokenizer.chat_template", melting), "melting");
  const th: TextRow = { id: "th", messages: [{ role: "user", content: "say t" }], responses: ["he"] };
  expect(() => referenceTokens(th, plain, limits)).toThrow(DataError);
});
