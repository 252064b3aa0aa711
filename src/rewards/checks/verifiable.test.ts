import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { checksComponent } from "../checks-component.ts";
import { instructions } from "./registry.ts";

const rate = (id: string, text: string, args: object) => instructions.get(id)!.rate(text, args);

// Written by bench/fixtures/match_truth.py with the metrics of SQuAD (F1 in single precision) and RapidFuzz.
const truth = z
  .array(
    z.strictObject({ given: z.string(), right: z.string(), exact: z.number(), f1: z.number(), edit_ratio: z.number() }),
  )
  .parse(JSON.parse(readFileSync(new URL("../fixtures/match.json", import.meta.url), "utf8")));

describe("match", () => {
  test.each(["exact", "f1", "edit_ratio"] as const)("%s is the originals'", (kind) => {
    const seen = new Set<number>();
    for (const { given, right, ...values } of truth) {
      const found = rate(`match:${kind}`, given, { answer: right });
      expect(found, `${given} | ${right}`).toBeCloseTo(values[kind], kind === "f1" ? 6 : 12);
      seen.add(Math.sign(found));
    }
    expect(seen.size).toBe(2);
  });

  test("of several answers the best counts; an answer may be a number; part of the response may be meant", () => {
    expect(rate("match:f1", "red fox", { answer: ["cat", "a red fox"] })).toBe(1);
    expect(rate("match:exact", "42", { answer: 42 })).toBe(1);
    expect(rate("match:exact", "I thought so.\nParis", { answer: "paris" })).toBe(0);
    expect(rate("match:exact", "I thought so.\nParis", { answer: "paris", part: "final" })).toBe(1);
    expect(rate("match:contains", "The answer is Rome, not Paris.\nOh!", { answer: "rome", part: "final" })).toBe(1);
  });
});

describe("choice:answer", () => {
  const choices = ["red", "green", "light blue", "black"];
  test.each([
    ["The answer is C.", "C"],
    ["The answer is (C).", "C"],
    ["**Answer: C**", "C"],
    ["answer: c)", "C"],
    ["Answer: (c)", "C"],
    ["\\boxed{C}", "C"],
    ["\\boxed{\\text{(C)}}", "C"],
    ["\\boxed{\\textbf{C. light blue}}", "C"],
    ["C", "C"],
    ["C.", "C"],
    ["(C) light blue", "C"],
    ["C) light blue, as the sky is.", "C"],
    ["A is wrong, B too.\n\nC", "C"],
    ["I think A at first, but (C) it is.", "C"],
    ["I choose option C because A is odd.", "C"],
    ["Option B is the correct one.", "B"],
    ["The correct answer is option D, black.", "D"],
    ["The answer is light blue.", "C"],
    ["It is light blue, of course", "C"],
    ["It is light blue or red", ""],
    ["(A) or (B)", ""],
    ["The answer is a matter of taste.", ""],
    ["The answer is E.", ""],
    ["I have no idea", ""],
    ["A cat is black", "D"],
  ])("%s", (text, letter) => {
    for (const [at, right] of ["A", "B", "C", "D"].entries()) {
      expect(rate("choice:answer", text, { answer: right, choices }), right).toBe(right === letter ? 1 : 0);
      expect(rate("choice:answer", text, { answer: at, choices }), right).toBe(right === letter ? 1 : 0);
      expect(rate("choice:answer", text, { answer: choices[at], choices }), right).toBe(right === letter ? 1 : 0);
    }
  });

  test("an answer that is none of the choices is refused", () => {
    expect(() => rate("choice:answer", "A", { answer: "E", choices })).toThrow(/none of the 4 choices/);
    expect(() => rate("choice:answer", "A", { answer: "some text" })).toThrow(/give the choices, too/);
  });
});

describe("patterns and schemas of the user's", () => {
  const slow = "^(a+)+$";
  const victim = `${"a".repeat(50)}!`;

  test("a pattern that takes for ever is broken off, and after three times not tried again", () => {
    for (const _ of [1, 2, 3])
      expect(() => rate("regex:match", victim, { pattern: slow })).toThrow(/took longer than 250 ms on this response/);
    expect(() => rate("regex:match", "aaa", { pattern: slow })).toThrow(/on 3 responses, and is not tried any more/);
    expect(rate("regex:match", "aaa", { pattern: "^(?:a+)+$" })).toBe(1);
  });

  test("however slow checks are, an abort is heard between two responses", async () => {
    const prompt = { id: "a", messages: [], checks: [{ id: "language:share", args: { language: "en" } }] };
    const text = "The quick brown fox. ".repeat(15_000);
    const requests = Array.from({ length: 40 }, (_, at) => ({ responseKey: `${at}`, prompt, text }));
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 0);
    let rated = 0;
    for await (const _ of checksComponent().rate(requests, stop.signal)) rated += 1;
    expect(rated).toBeLessThan(requests.length);
  });

  test("so is a pattern within a schema", () => {
    const schema = { type: "string", pattern: slow };
    expect(rate("json:schema", '"aaa"', { schema })).toBe(1);
    expect(() => rate("json:schema", JSON.stringify(victim), { schema })).toThrow(/took longer than 250 ms/);
  });

  test("what is no pattern and no schema is refused in words, which blame it on no time", () => {
    expect(() => rate("regex:match", "a", { pattern: "(a" })).toThrow(/is no regular expression/);
    expect(() => rate("regex:match", "a", { pattern: "a", flags: "g" })).toThrow(/some of i, m and s/);
    const wrong = [
      [{ type: "strnig" }, "must be equal to one of the allowed values"],
      [{ requierd: ["a"] }, "unknown keyword"],
      [{ $ref: "#/none" }, "can't resolve reference #/none"],
      [{ minLength: -1 }, "must be >= 0"],
      [{ pattern: "(" }, "Invalid regular expression"],
    ] as const;
    for (const [schema, reason] of wrong) {
      const rated = () => rate("json:schema", "1", { schema });
      expect(rated, JSON.stringify(schema)).toThrow(/is no JSON schema \(draft 2020-12\)/);
      expect(rated).toThrow(reason);
    }
  });

  test("a schema holds values to draft 2020-12; a nested response is no crash", () => {
    const schema = {
      $defs: { node: { type: "object", properties: { next: { $ref: "#/$defs/node" } }, unevaluatedProperties: false } },
      $ref: "#/$defs/node",
    };
    expect(rate("json:schema", '{"next": {"next": {}}}', { schema })).toBe(1);
    expect(rate("json:schema", '{"next": {"last": {}}}', { schema })).toBe(0);
    expect(rate("json:schema", "{no json}", { schema })).toBe(0);
    const tuple = { prefixItems: [{ const: 1 }, { type: "string" }], items: false };
    expect(rate("json:schema", '[1, "a"]', { schema: tuple })).toBe(1);
    expect(rate("json:schema", '[1, "a", 2]', { schema: tuple })).toBe(0);
    const deep = `${'{"next":'.repeat(200_000)}{}${"}".repeat(200_000)}`;
    expect(() => rate("json:schema", deep, { schema })).toThrow(/nested too deep|took longer/);
  });
});

describe("targets", () => {
  test("a length falls off evenly with its distance from what was asked for", () => {
    const words = (count: number) => Array(count).fill("w").join(" ");
    const args = { min: 10, max: 12, reach: 5 };
    const values = Array.from({ length: 20 }, (_, at) => rate("length:target", words(at + 1), args));
    expect(values.slice(9, 12)).toEqual([1, 1, 1]);
    for (let at = 12; at < 17; at += 1) expect(values[at - 1]! - values[at]!).toBeCloseTo(0.2, 12);
    for (let at = 5; at < 9; at += 1) expect(values[at]! - values[at - 1]!).toBeCloseTo(0.2, 12);
    expect([values[4], values[16], values[19]]).toEqual([0, 0, 0]);
    expect(rate("length:target", "Eins. Zwei.", { unit: "sentences", max: 1, reach: 4 })).toBe(0.75);
    expect(rate("length:target", "日本語", { min: 3, max: 3, reach: 1 })).toBe(1);
    expect(() => rate("length:target", "a", { reach: 1 })).toThrow(/neither/);
  });

  test("a language by its share", () => {
    const german = "Das ist nicht gut und das weiß ich.";
    const english = "This is not what you and I want to do.";
    expect(rate("language:share", `${german}\n${german}`, { language: "de" })).toBe(1);
    const [a, b] = [german, english].map((line) => line.replace(/[^\p{L}]/gu, "").length) as [number, number];
    expect(rate("language:share", `${german}\n${english}`, { language: "de" })).toBeCloseTo(a / (a + b), 12);
    expect(rate("language:share", "1 + 1 = 2", { language: "de" })).toBe(1);
  });

  test("repetition is the share of runs that are different", () => {
    expect(rate("repetition:ngrams", "a b c d", { n: 2 })).toBe(1);
    expect(rate("repetition:ngrams", "a b a b a b", { n: 2 })).toBeCloseTo(2 / 5, 12);
    expect(rate("repetition:ngrams", "A, b! a b.", { n: 2 })).toBeCloseTo(2 / 3, 12);
    expect(rate("repetition:ngrams", "好".repeat(100), { n: 3 })).toBeCloseTo(1 / 98, 12);
    expect(rate("repetition:ngrams", "a b", { n: 3 })).toBe(1);
  });
});
