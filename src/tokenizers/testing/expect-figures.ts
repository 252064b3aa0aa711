import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Message } from "../../schema/index.ts";
import type { Tokenizer } from "../index.ts";

/** What `transformers` gives for one tokenizer: made by bench/fixtures/tokenizer_truth.py. */
interface Figures {
  readonly special: readonly (number | null)[];
  readonly adds_bos: boolean;
  /** For each text: ids, ids with special tokens spelled (null: the same), decoded text (null: the text itself). */
  readonly encodings: readonly (readonly [number[], (number[] | null)?, (string | null)?])[];
  readonly long: readonly (readonly [count: number, digest: string])[];
  readonly chats: readonly { text: string; prompt: string; ids: number[]; sanitized: number[] }[];
  /** Random ids, their text, and their text without special tokens. */
  readonly streams: readonly (readonly [number[], string, string])[];
}

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8"));
const inputs = fixture("texts") as {
  texts: string[];
  long: [unit: string, count: number][];
  chats: [Message["role"], string][][];
};

/** Holds a tokenizer to every figure of `transformers` in the fixture of that name. */
export function expectFigures(tokenizer: Tokenizer, name: string): void {
  const figures = fixture(name) as Figures;
  const id = (value: number | null | undefined) => value ?? undefined;
  expect([tokenizer.bosId, tokenizer.eosId]).toEqual([id(figures.special[0]), id(figures.special[1])]);
  expect(tokenizer.padId).toBe(id(figures.special[2]));
  expect(tokenizer.addsBos).toBe(figures.adds_bos);

  expect(figures.encodings).toHaveLength(inputs.texts.length);
  for (const [index, text] of inputs.texts.entries()) {
    const [ids, plain, decoded] = figures.encodings[index]!;
    expect({ text, ids: tokenizer.encode(text, { special: true }) }).toEqual({ text, ids });
    expect({ text, plain: tokenizer.encode(text) }).toEqual({ text, plain: plain ?? ids });
    expect({ text, decoded: tokenizer.decode(ids) }).toEqual({ text, decoded: decoded ?? text });
  }
  for (const [index, [unit, count]] of inputs.long.entries()) {
    const ids = tokenizer.encode(unit.repeat(count), { special: true });
    const digest = createHash("sha256").update(ids.join(" ")).digest("hex");
    expect([unit, ids.length, digest]).toEqual([unit, ...figures.long[index]!]);
  }
  for (const [index, chat] of inputs.chats.entries()) {
    const messages = chat.map(([role, content]) => ({ role, content }));
    expect({
      text: tokenizer.renderChat(messages),
      prompt: tokenizer.renderChat(messages, { addGenerationPrompt: true }),
      ids: tokenizer.encodePrompt(messages),
      sanitized: tokenizer.encodePrompt(messages, { sanitizeContent: true }),
    }).toEqual(figures.chats[index]);
  }
  for (const [ids, text, visible] of figures.streams) {
    expect([ids, tokenizer.decode(ids)]).toEqual([ids, text]);
    expect([ids, tokenizer.decode(ids, { skipSpecial: true })]).toEqual([ids, visible]);
  }
}
