import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readPromptSet } from "../preferences/index.ts";
import { instructions, scoreChecks, validateChecks } from "../rewards/index.ts";
import type { CheckSpec, Prompt } from "../schema/index.ts";

const path = (name: string) => fileURLToPath(new URL(`../../recipes/prompts/${name}.jsonl`, import.meta.url));
const sizes = { quickstart: 60, "quickstart-eval": 40, overnight: 600, "overnight-eval": 200 };
const sets = await Promise.all(
  Object.entries(sizes).map(async ([name, size]) => ({ name, size, placed: await readPromptSet(path(name), {}) })),
).then((read) => read.map((set) => ({ ...set, prompts: set.placed.map(({ prompt }) => prompt) })));
const all = sets.flatMap(({ prompts }) => prompts);
const textOf = (prompt: Prompt) => prompt.messages.map(({ content }) => content).join("\n");

const numberWords: Record<number, string> = { 1: "one", 2: "two", 3: "three", 4: "four", 5: "five" };
const saysNumber = (text: string, n: number) => new RegExp(`\\b(?:${n}|${numberWords[n] ?? n})\\b`, "i").test(text);
const says = (text: string, words: readonly string[]) => words.every((word) => text.includes(`"${word}"`));

/** Whether the prompt's own words ask for what the check holds it to. */
const asked: Record<string, (text: string, args: never) => boolean> = {
  "keywords:existence": (text, { keywords }: { keywords: string[] }) => says(text, keywords),
  "keywords:forbidden_words": (text, { forbidden_words }: { forbidden_words: string[] }) =>
    says(text, forbidden_words) && /\b(not|nor|avoid|without|leave out)\b/i.test(text),
  "keywords:frequency": (text, { keyword, frequency }: { keyword: string; frequency: number }) =>
    says(text, [keyword]) && frequency === 2 && /twice|two times/.test(text),
  "keywords:letter_frequency": (text, args: { letter: string; let_frequency: number; let_relation: string }) =>
    says(text, [args.letter]) &&
    (args.let_relation === "at least"
      ? saysNumber(text, args.let_frequency) && text.includes("at least")
      : args.let_frequency === 1 && /letter "." must not|not use the letter/.test(text)),
  "length_constraints:number_words": (text, { num_words, relation }: { num_words: number; relation: string }) => {
    const n = num_words;
    if (relation === "at least") return new RegExp(`(at least|between|have|me) ${n} (words|and|to|or|but)`).test(text);
    return (
      new RegExp(`(under|below|fewer than) ${n} words`).test(text) ||
      new RegExp(`(at most|more than|and|to) ${n - 1} words|${n - 1} words or fewer`).test(text)
    );
  },
  "length_constraints:number_sentences": (
    text,
    { num_sentences, relation }: { num_sentences: number; relation: string },
  ) =>
    relation === "at least"
      ? saysNumber(text, num_sentences) && /sentences or more|at least \w+ sentences/.test(text)
      : num_sentences === 2
        ? /(one|single) sentence/i.test(text)
        : num_sentences === 3 && /at most two sentences|more than two sentences|two sentences at most/.test(text),
  "detectable_format:number_bullet_lists": (text, { num_bullets }: { num_bullets: number }) =>
    saysNumber(text, num_bullets) && text.includes('"* '),
  "detectable_format:json_format": (text) => text.includes("JSON"),
  "detectable_format:title": (text) => text.includes("<<"),
  "detectable_format:multiple_sections": (text, args: { section_spliter: string; num_sections: number }) =>
    says(text, [`${args.section_spliter} 1`, `${args.section_spliter} ${args.num_sections}`]),
  "detectable_format:number_highlighted_sections": (text, { num_highlights }: { num_highlights: number }) =>
    saysNumber(text, num_highlights) && text.includes("*this*"),
  "detectable_content:postscript": (text, { postscript_marker }: { postscript_marker: string }) =>
    says(text, [postscript_marker]),
  "detectable_content:number_placeholders": (text, { num_placeholders }: { num_placeholders: number }) =>
    saysNumber(text, num_placeholders) && text.includes("square brackets"),
  "change_case:english_capital": (text) => /capital letters( only)?\./.test(text),
  "change_case:english_lowercase": (text) => /lower ?case|no capital letters|without any capitals/i.test(text),
  "change_case:capital_word_frequency": (text, { capital_frequency }: { capital_frequency: number }) =>
    saysNumber(text, capital_frequency) && /in capital(s| letters)/.test(text),
  "punctuation:no_comma": (text) => /commas/.test(text),
  "startend:end_checker": (text, { end_phrase }: { end_phrase: string }) => says(text, [end_phrase]),
  "startend:quotation": (text) => /double (quotes|quotation mark)/.test(text),
  "combination:two_responses": (text) => text.includes("******"),
};

/**
 * An answer built from the checks alone, so that those which contradict each other have none. It is no good answer; it
 * only shows that one can exist.
 */
function anAnswer(checks: readonly CheckSpec[]): string {
  const args = <Args>(id: string) => checks.filter((check) => check.id === id).map((check) => check.args as Args);
  const has = (id: string) => args(id).length > 0;
  const words: string[] = args<{ keywords: string[] }>("keywords:existence").flatMap(({ keywords }) => keywords);
  for (const { keyword } of args<{ keyword: string }>("keywords:frequency")) words.push(keyword, keyword);
  for (const { letter, let_frequency, let_relation } of args<{
    letter: string;
    let_frequency: number;
    let_relation: string;
  }>("keywords:letter_frequency")) {
    if (let_relation === "at least") words.push(letter.repeat(let_frequency));
  }
  for (const { num_highlights } of args<{ num_highlights: number }>("detectable_format:number_highlighted_sections")) {
    for (let i = 0; i < num_highlights; i++) words.push("*the*");
  }
  for (const { capital_frequency } of args<{ capital_frequency: number }>("change_case:capital_word_frequency")) {
    for (let i = 0; i < capital_frequency; i++) words.push("THE");
  }
  for (const { num_placeholders } of args<{ num_placeholders: number }>("detectable_content:number_placeholders")) {
    for (let i = 0; i < num_placeholders; i++) words.push("[name]");
  }
  const least = args<{ num_words: number; relation: string }>("length_constraints:number_words").find(
    (a) => a.relation === "at least",
  );
  while (words.length < (least?.num_words ?? 1)) words.push("the");
  let text = words.join(" ");
  for (const { num_sentences, relation } of args<{ num_sentences: number; relation: string }>(
    "length_constraints:number_sentences",
  )) {
    if (relation === "at least") text += " the. the".repeat(num_sentences - 1);
  }
  for (const { num_bullets } of args<{ num_bullets: number }>("detectable_format:number_bullet_lists")) {
    text = `* ${text}${"\n* the".repeat(num_bullets - 1)}`;
  }
  if (has("detectable_format:multiple_sections")) text = `Part 1 ${text} Part 2 the`;
  if (has("combination:two_responses")) text = `${text}\n******\n${text} the`;
  if (has("detectable_format:title")) text = `<<the>>\n${text}`;
  if (has("change_case:english_capital")) text = text.toUpperCase();
  for (const { postscript_marker } of args<{ postscript_marker: string }>("detectable_content:postscript")) {
    text += `\n${postscript_marker} the`;
  }
  for (const { end_phrase } of args<{ end_phrase: string }>("startend:end_checker")) text += `\n${end_phrase}`;
  if (has("startend:quotation")) text = `"${text}"`;
  return has("detectable_format:json_format") ? JSON.stringify({ answer: text }) : text;
}

describe.each(sets)("$name", ({ size, placed, prompts }) => {
  test("parses, its checks are known, one to three constraints each", () => {
    expect(prompts).toHaveLength(size);
    expect(() => validateChecks(placed)).not.toThrow();
    expect(prompts.filter(({ checks }) => checks.length < 1 || checks.length > 3)).toEqual([]);
  });

  test("each check is asked for in the prompt's own words", () => {
    const unasked = prompts.flatMap((prompt) =>
      prompt.checks
        .filter(({ id, args }) => asked[id]?.(textOf(prompt), args as never) !== true)
        .map(({ id, args }) => `${prompt.id}: ${instructions.get(id)!.describe(args)} | ${textOf(prompt)}`),
    );
    expect(unasked).toEqual([]);
  });

  test("no constraint contradicts another: an answer follows them all", () => {
    const impossible = prompts.flatMap((prompt) => {
      const answer = anAnswer(prompt.checks);
      const failed = scoreChecks(prompt, answer).filter(({ value }) => value === 0);
      return failed.map(({ name: check }) => `${prompt.id}: ${check} | ${textOf(prompt)} | ${answer}`);
    });
    expect(impossible).toEqual([]);
  });
});

test("ids and texts are unique over all sets: what is evaluated was never trained on", () => {
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  const text = (prompt: Prompt) => textOf(prompt).toLowerCase().replace(/\s+/g, " ").trim();
  expect(new Set(all.map(text)).size).toBe(all.length);
});
