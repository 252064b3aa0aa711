import { expect, test } from "vitest";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { DataError } from "../schema/index.ts";
import { type LengthLimits, type TextRow, tokeniseRows } from "./rows.ts";

const row = (id: string, content: string, ...responses: string[]): TextRow => ({
  id,
  messages: [{ role: "user", content }],
  responses,
});
const limits = (change: Partial<LengthLimits> = {}): LengthLimits => ({
  max_length: 2048,
  max_prompt_length: 1800,
  overlong: "drop",
  ...change,
});

test("a prompt is the template with the generation prompt, a response its text and the end of turn once", async () => {
  const { tokenizer } = await tinyModel("llama");
  const { rows, dropped, shortened } = tokeniseRows(
    [row("a", "Hello the 123", "and the", "It's <|end|> in plain text", "ended<|end|>", "")],
    tokenizer,
    limits(),
  );
  expect([dropped, shortened]).toEqual([[], []]);
  const [{ id, prompt, responses }] = rows as [(typeof rows)[number]];
  expect(id).toBe("a");
  expect(tokenizer.decode(prompt)).toBe("<|bos|><|turn|>user\nHello the 123<|end|>\n<|turn|>assistant\n");
  const end = tokenizer.endOfTurnId!;
  expect(responses.map((ids) => tokenizer.decode(ids))).toEqual([
    "and the<|end|>",
    "It's <|end|> in plain text<|end|>",
    "ended<|end|>",
    "<|end|>",
  ]);
  // Once as a token, whatever the text spells.
  for (const ids of responses) expect(ids.indexOf(end)).toBe(ids.length - 1);
  expect(prompt.filter((token) => token === tokenizer.bosId)).toHaveLength(1);
});

test("rows within the limits are whole; others are handled as asked, and each is named", async () => {
  const { tokenizer } = await tinyModel("llama");
  const texts = [
    row("fits", "short", "yes", "no"),
    row("long prompt", "word ".repeat(30), "yes"),
    row("long together", "word ".repeat(10), "yes", "no ".repeat(30)),
    row("long response", "short", "no ".repeat(200)),
  ];
  const whole = tokeniseRows(texts, tokenizer, limits()).rows;
  const [fits, longPrompt, together, longResponse] = whole.map(({ prompt, responses }) => ({
    prompt: prompt.length,
    longest: Math.max(...responses.map((ids) => ids.length)),
  })) as [Size, Size, Size, Size];
  const bounds = { max_prompt_length: together.prompt + 5, max_length: together.prompt + together.longest - 3 };
  expect(longPrompt.prompt).toBeGreaterThan(bounds.max_prompt_length);
  expect(longResponse.longest).toBeGreaterThan(bounds.max_length);

  const drop = tokeniseRows(texts, tokenizer, limits(bounds));
  expect(drop).toEqual({
    rows: [whole[0]],
    dropped: ["long prompt", "long together", "long response"],
    shortened: [],
    cut: [],
    refused: [],
  });

  const kept = tokeniseRows(texts, tokenizer, limits({ ...bounds, overlong: "keep_end" }));
  expect(kept.dropped).toEqual(["long response"]);
  expect(kept.shortened).toEqual(["long prompt", "long together"]);
  expect(kept.rows.map(({ responses }) => responses)).toEqual(whole.slice(0, 3).map(({ responses }) => responses));
  expect(kept.rows.map(({ prompt }) => prompt)).toEqual([
    whole[0]!.prompt,
    whole[1]!.prompt.slice(-bounds.max_prompt_length),
    whole[2]!.prompt.slice(-(bounds.max_length - together.longest)),
  ]);

  const refuse = () => tokeniseRows(texts, tokenizer, limits({ ...bounds, overlong: "error" }));
  expect(refuse).toThrow(DataError);
  expect(refuse).toThrow(/long prompt has \d+ tokens/);

  // The limits themselves are allowed.
  const exact = { max_prompt_length: fits.prompt, max_length: fits.prompt + fits.longest };
  expect(tokeniseRows(texts.slice(0, 1), tokenizer, limits({ ...exact, overlong: "error" })).rows).toEqual([whole[0]]);
  for (const less of [{ max_length: exact.max_length - 1 }, { max_prompt_length: exact.max_prompt_length - 1 }])
    expect(tokeniseRows(texts.slice(0, 1), tokenizer, limits({ ...exact, ...less })).dropped).toEqual(["fits"]);
});

test("rows of which the template makes nothing, or that are no text, are named and cost the others nothing", async () => {
  const { tokenizer } = await tinyModel("llama");
  const [first, last] = [row("first", "a", "yes"), row("last", "b", "no")];
  const broken = row("broken", "c", "half \ud800");
  const found = tokeniseRows([first, broken, last], tokenizer, limits());
  expect(found.rows).toEqual(tokeniseRows([first, last], tokenizer, limits()).rows);
  expect(found.refused).toEqual([{ id: "broken", reason: expect.stringContaining("half a surrogate pair") }]);
});

interface Size {
  readonly prompt: number;
  readonly longest: number;
}
