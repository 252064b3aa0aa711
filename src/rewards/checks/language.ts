import { z } from "zod";
import { detectLanguage, knownLanguages } from "./detect-language.ts";
import { defineInstruction } from "./instruction.ts";

/** A language that can be told. */
export const languageCode = z.string().refine((code) => knownLanguages.includes(code), {
  error: `one of ${knownLanguages.join(", ")} (other languages can't be told apart here)`,
});

export const languageName = (code: string): string | undefined =>
  new Intl.DisplayNames("en", { type: "language" }).of(code);

const responseLanguage = defineInstruction({
  id: "language:response_language",
  args: z.strictObject({ language: languageCode }),
  follows(text, { language }) {
    const detected = detectLanguage(text);
    // As in the official check, a text without letters breaks no language.
    return detected.script === undefined ? !/\p{L}/u.test(text) : detected.language === language;
  },
  describe: ({ language }) => `is in ${languageName(language)}`,
});

export const languageInstructions = [responseLanguage];
