import { expect, test } from "vitest";
import { wordDiff } from "./word-diff.ts";

/** Uniform whole numbers below `most`, the same every time. */
function numbers(seed: number) {
  let state = seed;
  return (most: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

/** Length of the longest common subsequence, by the table of all pairs of beginnings. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  let row = new Array<number>(b.length + 1).fill(0);
  for (const one of a) {
    const next = [0];
    for (const [at, other] of b.entries()) next.push(one === other ? row[at]! + 1 : Math.max(row[at + 1]!, next[at]!));
    row = next;
  }
  return row.at(-1)!;
}

const words = ["a", "b", "c", " ", ",", "\n", "數", "e\u0301", "👩‍👩‍👧"];

test("gives both texts back, and is as short as the longest common subsequence allows", () => {
  const next = numbers(7);
  for (let round = 0; round < 400; round += 1) {
    const text = () => Array.from({ length: next(14) }, () => words[next(words.length)]!).join("");
    const [a, b] = [text(), text()];
    const parts = wordDiff(a, b)!;
    const without = (kind: string) =>
      parts
        .filter((part) => part.kind !== kind)
        .map((part) => part.text)
        .join("");
    expect([without("added"), without("removed")]).toEqual([a, b]);
    expect(parts.every(({ text: piece }) => piece !== "")).toBe(true);
    expect(parts.every(({ kind }, at) => at === 0 || kind !== parts[at - 1]!.kind)).toBe(true);
    const pieces = (whole: string) =>
      whole.match(/[\p{Script=Han}]|[^\P{L}\p{Script=Han}]\p{M}*|[\p{M}]+|\s+|[\s\S]/gu) ?? [];
    // Letters that stand together are one word: only texts of single-letter words are compared with the table.
    if (/[abce]\p{M}?[abce]|[abce數]\u0301/u.test(a + b) || /[abce]$/.test(a) !== /[abce]$/.test(b)) continue;
    const same = parts.filter(({ kind }) => kind === "same").flatMap(({ text: piece }) => pieces(piece)).length;
    expect(same).toBe(commonLength(pieces(a), pieces(b)));
  }
});

test("words stay whole", () => {
  expect(wordDiff("The cat sat.", "The big cat stood.")).toEqual([
    { kind: "same", text: "The " },
    { kind: "added", text: "big " },
    { kind: "same", text: "cat " },
    { kind: "removed", text: "sat" },
    { kind: "added", text: "stood" },
    { kind: "same", text: "." },
  ]);
  expect(wordDiff("", "")).toEqual([]);
  expect(wordDiff("x", "x")).toEqual([{ kind: "same", text: "x" }]);
});

test("long texts with few changes are compared, altogether different ones given up", () => {
  const long = Array.from({ length: 50_000 }, (_, at) => `w${at}`).join(" ");
  expect(wordDiff(long, long.replace("w25000", "other"))!.map(({ kind }) => kind)).toEqual([
    "same",
    "removed",
    "added",
    "same",
  ]);
  expect(wordDiff(long, long.replaceAll("w", "v"))).toBeUndefined();
});
