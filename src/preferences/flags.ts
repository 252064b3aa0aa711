import type { Flag } from "../schema/index.ts";
import { wordsOf } from "./words.ts";

interface Flagged {
  readonly text: string;
  /** Why it ended, where that is known. */
  readonly finish?: "stop" | "length" | undefined;
  /** The prompt that it answers. */
  readonly prompt: string;
}

/** The flags of a response, in the order of `flagWords` of the schema. Of very long texts the first 200,000 characters are looked at. */
export function flagsOf({ text, finish, prompt }: Flagged): Flag[] {
  if (text.trim() === "") return finish === "length" ? ["empty", "truncated"] : ["empty"];
  const seen = text.slice(0, mostCharacters);
  const flags: Readonly<Record<Flag, boolean>> = {
    empty: false,
    truncated: finish === "length",
    repeated: isRepeated(seen),
    mixed: isMixed(seen, prompt.slice(0, mostCharacters)),
    template: templateToken(text) !== undefined,
  };
  return (Object.keys(flags) as Flag[]).filter((flag) => flags[flag]);
}

const mostCharacters = 200_000;

/** Words that stand together when repetition is looked for, and the least text in which it is. */
const run = 6;
const leastWords = 40;
/** Share of the runs of words that stood before from which on a text is repeated. */
const repeatedShare = 0.3;

/** A piece of up to 20 characters, twenty times and more in a row. */
const loop = /(.{1,20}?)\1{19,}/gsu;

/** Whether 30 % of the runs of six words stood in the text before, or a piece with a letter or digit stands 20 times in a row. */
export function isRepeated(text: string): boolean {
  for (const [, unit] of text.matchAll(loop)) if (/[\p{L}\p{N}]/u.test(unit!)) return true;
  const words = wordsOf(text);
  if (words.length < leastWords) return false;
  const seen = new Set<string>();
  let again = 0;
  for (let at = 0; at + run <= words.length; at += 1) {
    const key = words.slice(at, at + run).join(" ");
    if (seen.has(key)) again += 1;
    else seen.add(key);
  }
  return again >= repeatedShare * (words.length - run + 1);
}

/** Scripts that are told apart; those that one language writes together count as one. */
const scripts = {
  Latin: /\p{Script=Latin}/gu,
  Cyrillic: /\p{Script=Cyrillic}/gu,
  Greek: /\p{Script=Greek}/gu,
  Arabic: /\p{Script=Arabic}/gu,
  Hebrew: /\p{Script=Hebrew}/gu,
  Devanagari: /\p{Script=Devanagari}/gu,
  Bengali: /\p{Script=Bengali}/gu,
  Tamil: /\p{Script=Tamil}/gu,
  Thai: /\p{Script=Thai}/gu,
  Hangul: /\p{Script=Hangul}/gu,
  "Chinese or Japanese": /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/gu,
} as const;

/** Latin names, units and code stand in texts of every script, and single Greek letters are symbols. */
const leastShare: Readonly<Record<string, number>> = { Latin: 0.3, Greek: 0.1 };

/**
 * Whether a script that the prompt doesn't have makes up a part of the text: five letters and 2 % of them at least (Latin 30 %,
 * Greek 10 %). A prompt without any letter says nothing.
 */
export function isMixed(text: string, prompt: string): boolean {
  const counts = Object.entries(scripts).map(([name, letters]) => [name, text.match(letters)?.length ?? 0] as const);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  if (!/\p{L}/u.test(prompt)) return false;
  return counts.some(
    ([name, count]) =>
      count >= Math.max(5, total * (leastShare[name] ?? 0.02)) &&
      prompt.search(scripts[name as keyof typeof scripts]) < 0,
  );
}

/** Tokens by which chat templates mark turns and ends; `<s>` only where it opens a text, `</s>` only where it closes one. */
const templateTokens =
  /<\|[a-zA-Z][a-zA-Z0-9_]{0,40}\|>|<｜[^｜\s]{1,40}｜>|<\/?(?:start_of_turn|end_of_turn|bos|eos|pad|unk)>|\[\/?INST\]|<<\/?SYS>>|^\s*<s>(?![\s\S]*<\/s>)|<\/s>\s*$/u;

/** The first token of a chat template in a text. */
export const templateToken = (text: string): string | undefined => templateTokens.exec(text)?.[0].trim();
