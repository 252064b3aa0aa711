/** What Arena-Hard's judge says of two answers, from A much better to B much better. */
export const arenaLabels = ["A>>B", "A>B", "A=B", "B>A", "B>>A"] as const;
export type ArenaLabel = (typeof arenaLabels)[number];

export type ArenaVersion = "v0.1" | "v2.0";

/** A label, or why there is none: nothing that looks like one, several that differ, or one that the tool has no meaning for. */
export type ArenaReading = { readonly label: ArenaLabel } | { readonly fault: "none" | "several" | "unknown" };

const inDouble = /\[\[([AB<>=]+)\]\]/g;
const inSingle = /\[([AB<>=]+)\]/g;

/** What v2.0 takes beside the labels that it asks for. */
const turned: Readonly<Record<string, ArenaLabel>> = {
  "A<B": "B>A",
  "A<<B": "B>>A",
  "B<A": "A>B",
  "B<<A": "A>>B",
  "B=A": "A=B",
};

/**
 * The verdict in a judge's words, as arena-hard-auto reads them. v0.1: the one distinct label in double brackets, as it is written. v2.0: of
 * the upper-cased words the last label in double brackets, else the last in single ones.
 */
export function readArenaVerdict(words: string, version: ArenaVersion): ArenaReading {
  if (version === "v0.1") {
    const found = new Set(matches(words, inDouble));
    if (found.size > 1) return { fault: "several" };
    return readingOf([...found][0], (text) => text);
  }
  const upper = words.toUpperCase();
  const found = matches(upper, inDouble);
  return readingOf((found.length > 0 ? found : matches(upper, inSingle)).at(-1), (text) => turned[text] ?? text);
}

const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1]!);

function readingOf(text: string | undefined, meaning: (text: string) => string): ArenaReading {
  if (text === undefined) return { fault: "none" };
  const label = arenaLabels.find((label) => label === meaning(text));
  return label === undefined ? { fault: "unknown" } : { label };
}
