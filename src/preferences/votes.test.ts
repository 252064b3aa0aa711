import { describe, expect, test } from "vitest";
import { contentKey, type ScorePart } from "../schema/index.ts";
import type { Candidate, PromptCandidates } from "./candidates.ts";
import { type Voting, withVotes } from "./votes.ts";

const rewards = ["a", "b", "c"];
const votingOf = (weights: Readonly<Record<string, number>>): Voting => ({
  valuesOf: (parts) =>
    new Map(parts.filter(({ name }) => rewards.includes(name)).map(({ name, value }) => [name, value])),
  isShut: (parts) => parts.some(({ name }) => name === "shut"),
  weights: new Map(Object.entries(weights)),
  unfinished: "drop",
});
const response = (
  id: string,
  values: Readonly<Record<string, number>>,
  fields: Partial<Candidate> = {},
): Candidate => ({
  ...{ key: contentKey(id), promptId: "p", source: id, index: 0, text: id, finish: "stop" },
  ...{ promptTokens: 1, responseTokens: 1, value: 0 },
  parts: Object.entries(values).map(([name, value]): ScorePart => ({ name, value, weight: 1 })),
  ...fields,
});
const valuesOf = ({ sources, target }: PromptCandidates) =>
  Object.fromEntries([...sources, ...target].map(({ source, value }) => [source, value]));
const voted = (
  candidates: readonly Candidate[],
  weights: Readonly<Record<string, number>> = { a: 1, b: 1 },
  split = 0,
) =>
  valuesOf(
    withVotes(
      { promptId: "p", sources: candidates.slice(split), target: candidates.slice(0, split) },
      votingOf(weights),
    ),
  );

/** Numbers in 0..1 that hang on the seed alone. */
function numbers(seed: string): () => number {
  let at = 0;
  return () => {
    at += 1;
    return Number.parseInt(contentKey([seed, at]).slice(0, 8), 16) / 2 ** 32;
  };
}

describe("votes", () => {
  test("three responses and two rewards, as counted by hand", () => {
    const candidates = [
      response("x", { a: 3, b: 0.1 }),
      response("y", { a: 2, b: 0.1 }),
      response("z", { a: 1, b: 0.9 }),
    ];
    // a, of weight 2: x over y and z, y over z. b, of weight 1: x and y tie, z over both. Votes of 6 against two rivals.
    const values = voted(candidates, { a: 2, b: 1 });
    expect(values).toEqual({
      x: expect.closeTo(4.5 / 6, 12) as number,
      y: expect.closeTo(2.5 / 6, 12) as number,
      z: expect.closeTo(2 / 6, 12) as number,
    });
  });

  test.each(Array.from({ length: 40 }, (_, seed) => seed))("have their properties on random responses (%i)", (seed) => {
    const next = numbers(`votes ${seed}`);
    const count = 1 + Math.floor(next() * 7);
    const weights = { a: 0.1 + next(), b: 0.1 + 3 * next(), c: 0.1 + next() };
    const candidates = Array.from({ length: count }, (_, at) =>
      response(`r${at}`, { a: Math.round(next() * 4), b: next(), c: Math.round(next() * 2) / 2 }),
    );
    const values = voted(candidates, weights);
    const all = Object.values(values);
    // Every vote is won by somebody.
    expect(all.reduce((sum, value) => sum + value, 0)).toBeCloseTo(count / 2, 10);
    expect(all.every((value) => value >= 0 && value <= 1)).toBe(true);
    // Neither order nor side, nor any increasing change of a reward, nor the weights' sum matters.
    const near = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, expect.closeTo(value, 10)]));
    expect(voted([...candidates].reverse(), weights)).toEqual(near);
    expect(voted(candidates, weights, Math.floor(count / 2))).toEqual(near);
    const bent = candidates.map((one) => ({
      ...one,
      parts: one.parts!.map((part) => (part.name === "b" ? { ...part, value: Math.exp(9 * part.value) } : part)),
    }));
    expect(voted(bent, { a: 7 * weights.a, b: 7 * weights.b, c: 7 * weights.c })).toEqual(near);
    // Who is better by every reward has more.
    for (const one of candidates)
      for (const other of candidates) {
        const better = one.parts!.every(({ value }, at) => value >= other.parts![at]!.value);
        if (better) expect(values[one.source]).toBeGreaterThanOrEqual(values[other.source]! - 1e-12);
      }
    // One reward alone orders as it does itself.
    const alone = voted(candidates, { b: 1 });
    const byReward = [...candidates].sort((x, y) => x.parts![1]!.value - y.parts![1]!.value);
    expect(byReward.map(({ source }) => alone[source])).toEqual(
      byReward.map((_, at) => expect.closeTo(count === 1 ? 0.5 : at / (count - 1), 10) as number),
    );
  });

  test("a closed gate loses to an open one, and two closed ones tie", () => {
    const shut = { a: 9, shut: 1 };
    expect(voted([response("x", shut), response("y", { a: 1 }), response("z", { ...shut, a: 0 })])).toEqual({
      x: 0.25,
      y: 1,
      z: 0.25,
    });
  });

  test("who says nothing does not vote; where nobody does it is a half", () => {
    expect(voted([response("x", { a: 1, b: 0 }), response("y", { a: 0 })])).toEqual({ x: 1, y: 0 });
    expect(voted([response("x", {}), response("y", {})])).toEqual({ x: 0.5, y: 0.5 });
    expect(voted([response("x", { a: 1 })])).toEqual({ x: 0.5 });
  });

  test("a response that can't be chosen is nobody's rival", () => {
    const values = voted([
      ...[response("x", { a: 1 }), response("y", { a: 2 })],
      ...[response("empty", { a: 3 }, { text: " " }), response("cut", { a: 0 }, { finish: "length" })],
    ]);
    expect([values.x, values.y]).toEqual([0, 1]);
  });
});
