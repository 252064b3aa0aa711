import { functionWords, letters } from "./language-profiles.ts";

export interface Detected {
  /** ISO 639-1, or undefined where nothing gives a language away. */
  readonly language: string | undefined;
  /** The script of most letters, or undefined for a text without letters. */
  readonly script: string | undefined;
}

/** The languages of each script. A script of one language decides by itself. */
const languagesOf: Readonly<Record<string, readonly string[]>> = {
  Latin: ["en", "es", "pt", "fr", "de", "it", "pl", "vi", "sw", "fi", "nl", "sv", "da", "ro", "tr", "id"],
  Cyrillic: ["ru", "uk", "bg"],
  Arabic: ["ar", "fa", "ur"],
  Devanagari: ["hi", "mr", "ne"],
  Bengali: ["bn"],
  Thai: ["th"],
  Tamil: ["ta"],
  Telugu: ["te"],
  Kannada: ["kn"],
  Gujarati: ["gu"],
  Gurmukhi: ["pa"],
  Malayalam: ["ml"],
  Hebrew: ["he"],
  Hangul: ["ko"],
  Han: ["zh"],
  Hiragana: ["ja"],
  Katakana: ["ja"],
};

/** Every language that `detectLanguage` can find. */
export const knownLanguages: readonly string[] = [...new Set(Object.values(languagesOf).flat())].sort();

const scripts = Object.keys(languagesOf).map((script) => ({
  script,
  pattern: new RegExp(`\\p{Script=${script}}`, "gu"),
}));

/**
 * The language of a text: by its script, and within the Latin, Cyrillic, Arabic and Devanagari scripts by counting each
 * language's function words and the letters only it has. It knows `knownLanguages` only: a text in Norwegian passes for
 * Danish, one in Catalan for Spanish or for none; a few words without a function word have no language; a text in two
 * languages has the one with more evidence. On 1,755 texts of chat models and their paragraphs it said the same as
 * langdetect for 91 %; where they part, the text is mostly a few words ("Dear Emma,"), code or in capitals.
 */
export function detectLanguage(text: string): Detected {
  const script = mainScript(text);
  if (script === undefined) return { language: undefined, script };
  const candidates = languagesOf[script]!;
  if (candidates.length === 1) return { language: candidates[0], script };
  const words = text.toLowerCase().match(/[\p{L}\p{M}]+(?:['’]\p{L}+)*/gu) ?? [];
  // The sort is stable: of languages with equal evidence the first of the list is taken.
  const [best] = candidates
    .map((language) => ({ language, evidence: evidence(words, language) }))
    .sort((a, b) => b.evidence - a.evidence);
  return { language: best!.evidence > 0 ? best!.language : undefined, script };
}

function mainScript(text: string): string | undefined {
  const counts = scripts.map(({ script, pattern }) => ({ script, letters: text.match(pattern)?.length ?? 0 }));
  // Japanese is written mostly in Han characters, but only Japanese has kana beside them.
  const kana = counts.filter(({ script }) => script === "Hiragana" || script === "Katakana");
  const kanaLetters = kana.reduce((sum, { letters }) => sum + letters, 0);
  const [most] = counts.sort((a, b) => b.letters - a.letters);
  if (most!.script === "Han" && kanaLetters > most!.letters / 10) return "Hiragana";
  return most!.letters > 0 ? most!.script : undefined;
}

/** A function word counts 1, a word with a letter of the language's own counts 1 too. */
function evidence(words: readonly string[], language: string): number {
  const known = functionWords[language]!;
  const own = letters[language];
  let sum = 0;
  for (const word of words) {
    if (known.has(word) || known.has(word.split(/['’]/, 1)[0]!)) sum += 1;
    if (own?.test(word)) sum += 1;
  }
  return sum;
}
