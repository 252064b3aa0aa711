import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { instructions, officialIds } from "./registry.ts";

const verdicts = z.string().regex(/^[01]+$/);
// Written by bench/fixtures/ifeval_truth.py with the official checks.
const truth = z
  .object({
    texts: z.array(z.string()),
    cases: z.array(z.object({ id: z.string(), args: z.record(z.string(), z.unknown()), follows: verdicts })),
    case_texts: z.array(z.string()),
    case_cases: z.array(z.object({ id: z.string(), follows: verdicts })),
    languages: z.array(z.string()),
    language_cases: z.array(z.object({ language: z.string(), follows: verdicts })),
  })
  .parse(JSON.parse(readFileSync(new URL("../fixtures/ifeval.json", import.meta.url), "utf8")));

/** The texts on which the instruction and the official verdicts part. */
function differences(id: string, args: unknown, texts: readonly string[], follows: string): string[] {
  const instruction = instructions.get(id)!;
  return texts.filter((text, index) => instruction.rate(text, args) !== Number(follows[index]));
}

describe("verdicts of the official code", () => {
  test.each(truth.cases)("$id $args", ({ id, args, follows }) => {
    expect(differences(id, args, truth.texts, follows)).toEqual([]);
  });

  test.each(truth.case_cases)("$id", ({ id, follows }) => {
    expect(follows).toContain("1");
    expect(differences(id, {}, truth.case_texts, follows)).toEqual([]);
  });

  test.each(truth.language_cases)("language:response_language $language", ({ language, follows }) => {
    expect(differences("language:response_language", { language }, truth.languages, follows)).toEqual([]);
  });

  test("all 25 have verdicts of both kinds", () => {
    const seen = new Map<string, Set<string>>();
    const languages = truth.language_cases.map(({ follows }) => ({ id: "language:response_language", follows }));
    for (const { id, follows } of [...truth.cases, ...truth.case_cases, ...languages]) {
      seen.set(id, new Set([...(seen.get(id) ?? []), ...follows]));
    }
    expect([...officialIds].filter((id) => seen.get(id)?.size !== 2)).toEqual([]);
    expect(officialIds.size).toBe(25);
  });
});
