import { z } from "zod";
import { detectLanguage } from "./detect-language.ts";
import { count, defineInstruction } from "./instruction.ts";
import { languageCode, languageName } from "./language.ts";
import { splitSentences } from "./sentences.ts";
import { wordsOf } from "./word-list.ts";

const measures = {
  words: (text: string) => wordsOf(text).length,
  characters: (text: string) => [...text.trim()].length,
  sentences: (text: string) => splitSentences(text).length,
  lines: (text: string) => text.split("\n").filter((line) => line.trim() !== "").length,
} as const;

const lengthTarget = defineInstruction({
  id: "length:target",
  args: z
    .strictObject({
      unit: z.enum(["words", "characters", "sentences", "lines"]).default("words"),
      min: count.optional(),
      max: count.optional(),
      /** So far from what was asked for, the value is 0. */
      reach: z.number().gt(0),
    })
    .refine(({ min, max }) => min !== undefined || max !== undefined, "gives neither `min` nor `max`")
    .refine(({ min = 0, max = Number.POSITIVE_INFINITY }) => min <= max, {
      path: ["min"],
      message: "is greater than `max`",
    }),
  follows(text, { unit, min = 0, max = Number.POSITIVE_INFINITY, reach }) {
    const length = measures[unit](text);
    const distance = Math.max(min - length, length - max, 0);
    return Math.max(0, 1 - distance / reach);
  },
  describe({ unit, min, max, reach }) {
    const asked =
      min === max
        ? `${min}`
        : [min === undefined ? [] : `at least ${min}`, max === undefined ? [] : `at most ${max}`].flat().join(" and ");
    return `has ${asked} ${unit}; falls to 0 over the next ${reach}`;
  },
});

const letter = /\p{L}/gu;

const languageShare = defineInstruction({
  id: "language:share",
  args: z.strictObject({ language: languageCode }),
  follows(text, { language }) {
    let own = 0;
    let all = 0;
    for (const line of text.split("\n")) {
      const letters = line.match(letter)?.length ?? 0;
      const detected = letters === 0 ? undefined : detectLanguage(line).language;
      if (detected === undefined) continue;
      all += letters;
      if (detected === language) own += letters;
    }
    // As for `language:response_language`, a text without letters breaks no language.
    if (all === 0) return !/\p{L}/u.test(text);
    return own / all;
  },
  describe: ({ language }) => `is in ${languageName(language)}: the share of its letters, line by line`,
});

export const targetInstructions = [lengthTarget, languageShare];
