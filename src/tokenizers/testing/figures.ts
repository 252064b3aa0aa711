import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Message } from "../../schema/index.ts";
import type { Tokenizer } from "../index.ts";

/** What `transformers` gives for one tokenizer: made by bench/fixtures/tokenizer_truth.py. */
interface Fixture {
  /** Ids of BOS, EOS and padding. */
  readonly special: readonly (number | null)[];
  readonly adds_bos: boolean;
  /** For each text: ids, ids with special tokens spelled (null: the same), decoded text (null: the text itself). */
  readonly encodings: readonly (readonly [number[], (number[] | null)?, (string | null)?])[];
  readonly long: readonly (readonly [count: number, digest: string])[];
  readonly chats: readonly { text: string; prompt: string; ids: number[]; sanitized: number[] }[];
  /** Random ids, their text, and their text without special tokens. */
  readonly streams: readonly (readonly [number[], string, string])[];
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8"));
const inputs = read("texts") as {
  texts: string[];
  long: [unit: string, count: number][];
  chats: [Message["role"], string][][];
};

/** The figures of `transformers` for a tokenizer, each beside the text that it belongs to. */
export function expectedFigures(name: string) {
  const { special, adds_bos, encodings, long, chats, streams } = read(name) as Fixture;
  return {
    special,
    adds_bos,
    encodings: inputs.texts.map((text, index) => {
      const [ids, plain, decoded] = encodings[index]!;
      return { text, ids, plain: plain ?? ids, decoded: decoded ?? text };
    }),
    long: inputs.long.map(([unit], index) => [unit, ...long[index]!]),
    chats,
    streams,
  };
}

/** The same figures by a tokenizer of this room. @param name of the fixture whose random ids are decoded. */
export function figuresOf(tokenizer: Tokenizer, name: string): ReturnType<typeof expectedFigures> {
  return {
    special: [tokenizer.bosId, tokenizer.eosId, tokenizer.padId].map((id) => id ?? null),
    adds_bos: tokenizer.addsBos,
    encodings: inputs.texts.map((text) => {
      const ids = tokenizer.encode(text, { special: true });
      return { text, ids, plain: tokenizer.encode(text), decoded: tokenizer.decode(ids) };
    }),
    long: inputs.long.map(([unit, count]) => {
      const ids = tokenizer.encode(unit.repeat(count), { special: true });
      return [unit, ids.length, createHash("sha256").update(ids.join(" ")).digest("hex")];
    }),
    chats: inputs.chats.map((chat) => {
      const messages = chat.map(([role, content]) => ({ role, content }));
      return {
        text: tokenizer.renderChat(messages),
        prompt: tokenizer.renderChat(messages, { addGenerationPrompt: true }),
        ids: tokenizer.encodePrompt(messages),
        sanitized: tokenizer.encodePrompt(messages, { sanitizeContent: true }),
      };
    }),
    streams: (read(name) as Fixture).streams.map(([ids]) => [
      ids,
      tokenizer.decode(ids),
      tokenizer.decode(ids, { skipSpecial: true }),
    ]),
  };
}
