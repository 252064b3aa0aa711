import { describe, expect, test } from "vitest";
import { emptyHashed, exactSimilarity, writeHashed } from "./pieces.ts";
import { emptyUnits, writePlain } from "./plain-text.ts";
import { alikeBy } from "./selection/similarity.ts";
import { similarity } from "./testing/jaccard.ts";
import { wordsOf } from "./words.ts";

/** Uniform numbers in [0, 1), the same every time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

const next = random(3);
const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;

/** Signs of all planes, half surrogate pairs among them. */
function anything(length: number): string {
  const signs = [
    "a",
    "Z",
    " ",
    ".",
    "é",
    "e\u0301",
    "ﬁ",
    "Σ",
    "ß",
    "漢",
    "か",
    "カ",
    "ﾊ",
    "한",
    "𝒜",
    "𠮷",
    "\ud83d",
    "½",
    "_",
  ];
  const sign = () => (next() < 0.5 ? pick(signs) : String.fromCodePoint(Math.floor(next() * 0x11000)));
  return Array.from({ length }, sign).join("");
}

test("the plain text is the words by single spaces", () => {
  const plain = emptyUnits();
  const texts = [
    "",
    " ",
    "One, two  THREE!",
    "x_y-z 1.5",
    "ΟΔΟΣ",
    "a漢b字 c",
    ...Array.from({ length: 500 }, () => anything(40)),
  ];
  for (const text of texts) {
    writePlain(text, plain);
    expect(String.fromCharCode(...plain.units.subarray(0, plain.length))).toBe(wordsOf(text).join(" "));
  }
});

const vocabulary = Array.from({ length: 300 }, () => Math.floor(next() * 1e6).toString(36));

/** A text and a copy of it with some words changed: from the same to another one. */
function twoTexts(words: number): [string, string] {
  const one = Array.from({ length: words }, () => pick([...vocabulary, "漢字", "naïve"]));
  const share = next() ** 2;
  return [one.join(" "), one.map((word) => (next() < share ? pick(vocabulary) : word)).join(pick([" ", ", "]))];
}

describe("similarity", () => {
  const pairs = [
    ...Array.from({ length: 150 }, () => twoTexts(Math.floor(next() ** 3 * 600))),
    ...Array.from({ length: 50 }, () => [anything(30), anything(30)] as [string, string]),
    ["", "!"],
    ["a", "A"],
    ["ab", "abcdefg"],
  ] as readonly [string, string][];

  test("is Jaccard's of the pieces of five characters", () => {
    const exact = exactSimilarity();
    const [a, b] = [emptyHashed(), emptyHashed()];
    for (const [one, other] of pairs) {
      writeHashed(one, a);
      writeHashed(other, b);
      expect(exact(a, b)).toBe(similarity(one, other));
    }
  });

  test.each([0.2, 0.5, 0.8, 0.95])("two texts are alike from %f on, whatever was compared before", (threshold) => {
    const alike = alikeBy(threshold);
    const candidate = (text: string) => ({ text }) as Parameters<typeof alike>[0];
    let found = 0;
    for (const [one, other] of pairs.flatMap((pair, at) => [pair, [pair[0], pairs[(at * 7) % 20]![1]] as const])) {
      const expected = one === other || similarity(one, other) >= threshold;
      expect(alike(candidate(one), candidate(other))).toBe(expected);
      if (expected) found += 1;
    }
    expect(found).toBeGreaterThan(10);
    expect(found).toBeLessThan(pairs.length);
  });
});
