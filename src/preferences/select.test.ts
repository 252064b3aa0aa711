import { describe, expect, test } from "vitest";
import { DataError, type Finish, RecipeError } from "../schema/index.ts";
import {
  type Candidate,
  contributions,
  type PromptCandidates,
  type SelectionRule,
  selectBest,
  selectQuadruples,
  splitPrompts,
  toQuadruple,
} from "./index.ts";

const paper: SelectionRule = { minGap: 0, unfinished: "keep" };

let made = 0;
function candidate(source: string, value: number, over: Partial<Candidate> = {}): Candidate {
  made += 1;
  return {
    key: `key-${made}`,
    promptId: "p",
    source,
    index: made,
    text: `text ${made}`,
    finish: "stop",
    promptTokens: 1,
    responseTokens: 1,
    value,
    ...over,
  };
}

const prompt = (sources: readonly Candidate[], target: readonly Candidate[], promptId = "p"): PromptCandidates => ({
  promptId,
  sources,
  target,
});

/** mulberry32: enough for random cases. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], next: () => number): T[] {
  return items
    .map((item) => ({ item, lot: next() }))
    .sort((a, b) => a.lot - b.lot)
    .map(({ item }) => item);
}

const leftOut = async (given: PromptCandidates, rule: SelectionRule = paper) =>
  (await selectQuadruples([given], rule)).leftOut[0]?.leftOut;

describe("the rule of the paper", () => {
  test("best of all sources, best and worst of the target's own", async () => {
    const sources = [candidate("a", 0.2), candidate("b", 0.9), candidate("b", 0.4)];
    const target = [candidate("t", 0.5), candidate("t", 0.1), candidate("t", 0.7)];
    const { selected } = await selectQuadruples([prompt(sources, target)], paper);
    expect(selected).toEqual([
      {
        promptId: "p",
        sourceChosen: sources[1],
        targetChosen: target[2],
        rejected: target[1],
        sourceRejected: sources[2],
      },
    ]);
    expect(toQuadruple(selected[0]!, [{ role: "user", content: "x" }])).toEqual({
      promptId: "p",
      messages: [{ role: "user", content: "x" }],
      sourceChosen: sources[1]!.text,
      targetChosen: target[2]!.text,
      rejected: target[1]!.text,
    });
    expect((await selectBest([prompt(sources, [])], paper)).selected).toEqual([
      { promptId: "p", sourceChosen: sources[1] },
    ]);
  });

  test("y_ls is the worst of the source that gave y_ws, and there is none where that gave nothing worse", async () => {
    const target = [candidate("t", 0.5), candidate("t", 0.1)];
    const lowest = async (sources: readonly Candidate[]) =>
      (await selectQuadruples([prompt(sources, target)], paper)).selected[0]!.sourceRejected;
    const sources = [candidate("a", 0.1), candidate("b", 0.9), candidate("b", 0.3), candidate("b", 0.6)];
    expect(await lowest(sources)).toBe(sources[2]);
    expect(await lowest([candidate("a", 0.1), candidate("b", 0.9)])).toBeUndefined();
    expect(await lowest([candidate("a", 0.1), candidate("b", 0.9), candidate("b", 0.9)])).toBeUndefined();
  });

  test("several responses of the sources: of the best sources, or the best of all, never one text twice", async () => {
    const target = [candidate("t", 0.5), candidate("t", 0.1)];
    const [best, twin, second, third, low] = [
      candidate("b", 0.9, { text: "one" }),
      candidate("a", 0.8, { text: "one" }),
      candidate("b", 0.7),
      candidate("a", 0.6),
      candidate("c", 0.2),
    ] as const;
    const sources = [low, third, second, twin, best];
    const choice = async (count: number, of: "different_sources" | "any_source") => {
      const { selected, leftOut } = await selectQuadruples([prompt(sources, target)], {
        ...paper,
        sources: { count, of },
      });
      const [one] = selected;
      return one === undefined ? leftOut[0]!.leftOut : [one.sourceChosen, ...(one.furtherSources ?? [])];
    };
    expect(await choice(1, "any_source")).toEqual([best]);
    expect(await choice(3, "any_source")).toEqual([best, second, third]);
    expect(await choice(4, "any_source")).toEqual([best, second, third, low]);
    expect(await choice(5, "any_source")).toBe("too-few-source-responses");
    expect(await choice(3, "different_sources")).toEqual([best, third, low]);
    expect(await choice(4, "different_sources")).toBe("too-few-source-responses");
    const rule: SelectionRule = { ...paper, sources: { count: 2, of: "different_sources" } };
    const { selected } = await selectQuadruples([prompt(sources, target)], rule);
    expect(toQuadruple(selected[0]!, [])).toMatchObject({ sourceChosen: "one", furtherSources: [third.text] });
    const same = [candidate("t", 1), candidate("t", 0, { text: third.text })];
    expect(await leftOut(prompt(sources, same), rule)).toBe("texts-identical");
  });

  test("every reason for leaving a prompt out is told", async () => {
    const two = [candidate("t", 0), candidate("t", 1)];
    const one = [candidate("a", 1)];
    const empty = candidate("a", 1, { text: " \n" });
    const cut = candidate("t", 1, { finish: "length" });
    expect(await leftOut(prompt(one, two))).toBeUndefined();
    expect(await leftOut(prompt([], two))).toBe("no-source-response");
    expect(await leftOut(prompt(one, []))).toBe("no-target-response");
    expect(await leftOut(prompt([empty], two))).toBe("empty");
    expect(await leftOut(prompt(one, [cut, empty]), { ...paper, unfinished: "drop" })).toBe("unfinished");
    expect(await leftOut(prompt(one, [cut, ...two]), { ...paper, unfinished: "drop" })).toBeUndefined();
    expect(await leftOut(prompt(one, [cut, empty]))).toBe("one-target-response");
    expect(await leftOut(prompt(one, [candidate("t", 0.3), candidate("t", 0.3)]))).toBe("rewards-equal");
    expect(await leftOut(prompt(one, two), { ...paper, minGap: 1.01 })).toBe("gap-below-minimum");
    const [low, high] = [candidate("t", 0.2), candidate("t", 0.3)];
    expect(await leftOut(prompt(one, [low, high]), { ...paper, minGap: 0.1 })).toBeUndefined();
    const same = { text: "the same" };
    expect(await leftOut(prompt(one, [candidate("t", 0, same), candidate("t", 1, same)]))).toBe("texts-identical");
    expect(await leftOut(prompt([candidate("a", 1, same)], [candidate("t", 0, same), candidate("t", 1)]))).toBe(
      "texts-identical",
    );
  });

  test("everything is counted: prompts by reason, responses dropped, y_ws below y_l", async () => {
    const given = [
      prompt([candidate("a", 0), candidate("a", 9, { text: "" })], [candidate("t", 1), candidate("t", 2)], "weak"),
      prompt(
        [candidate("a", 3)],
        [candidate("t", 1), candidate("t", 2), candidate("t", 5, { finish: "length" })],
        "ok",
      ),
      prompt([], [], "none"),
      prompt([candidate("a", 1)], [candidate("t", 1), candidate("t", 1)], "equal"),
    ];
    const result = await selectQuadruples(given, { minGap: 0, unfinished: "drop" });
    expect(result.selected.map(({ promptId }) => promptId)).toEqual(["weak", "ok"]);
    expect(result.leftOut).toEqual([
      { promptId: "none", leftOut: "no-source-response" },
      { promptId: "equal", leftOut: "rewards-equal" },
    ]);
    expect(result.counts).toMatchObject({ "no-source-response": 1, "rewards-equal": 1, empty: 0 });
    expect(result.dropped).toEqual({ empty: 1, unfinished: 1 });
    expect(result.sourceBelowRejected).toBe(1);
  });

  test("among equal rewards a finished response comes first, and length plays no part", async () => {
    const cut = candidate("a", 1, { key: "0", finish: "length" });
    const whole = candidate("b", 1, { key: "1" });
    expect((await selectBest([prompt([cut, whole], [])], paper)).selected[0]!.sourceChosen).toBe(whole);

    let shorterWon = 0;
    const rounds = 4000;
    const next = random(7);
    for (let round = 0; round < rounds; round += 1) {
      const short = candidate("a", 1, { key: `${next()}`, text: "short", responseTokens: 1 });
      const long = candidate("b", 1, { key: `${next()}`, text: "long".repeat(50), responseTokens: 50 });
      const { selected } = await selectBest([prompt([short, long], [])], paper);
      if (selected[0]!.sourceChosen === short) shorterWon += 1;
    }
    // A fair coin stays within 4.5 standard deviations.
    expect(Math.abs(shorterWon - rounds / 2)).toBeLessThan((4.5 * Math.sqrt(rounds)) / 2);
  });

  test("random prompts: input order never matters, y_wt beats y_l, nothing beats y_ws, each prompt stands once", async () => {
    const next = random(2024);
    const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
    const values = [-1, 0, 0, 0.25, 0.5, 0.5, 1];
    const draw = (source: string) =>
      candidate(source, pick(values), {
        key: `${Math.floor(next() * 1e9)}`,
        finish: pick<Finish>(["stop", "stop", "length"]),
        text: pick(["", "yes", "no", `long ${made}`, `other ${made}`]),
      });
    const given = Array.from({ length: 500 }, (_, i) =>
      prompt(
        Array.from({ length: Math.floor(next() * 5) }, () => draw(pick(["a", "b", "c"]))),
        Array.from({ length: Math.floor(next() * 5) }, () => draw("t")),
        `p${i}`,
      ),
    );
    for (const rule of [paper, { minGap: 0.5, unfinished: "drop" }] as const) {
      const result = await selectQuadruples(given, rule);
      const mixed = given.map((p) => prompt(shuffled(p.sources, next), shuffled(p.target, next), p.promptId));
      expect(await selectQuadruples(mixed, rule)).toEqual(result);
      const reversed = await selectQuadruples(given.toReversed(), rule);
      expect(reversed.selected.toReversed()).toEqual(result.selected);

      const ids = [...result.selected, ...result.leftOut].map(({ promptId }) => promptId);
      expect(ids.toSorted()).toEqual(given.map(({ promptId }) => promptId).toSorted());
      expect(Object.values(result.counts).reduce((a, b) => a + b)).toBe(result.leftOut.length);
      expect(result.selected.length).toBeGreaterThan(50);
      for (const { promptId, sourceChosen, targetChosen, rejected } of result.selected) {
        const { sources, target } = given.find((p) => p.promptId === promptId)!;
        const allowed = (c: Candidate) => c.text !== "" && (rule.unfinished === "keep" || c.finish === "stop");
        expect(targetChosen.value).toBeGreaterThan(rejected.value);
        expect(targetChosen.value - rejected.value).toBeGreaterThanOrEqual(rule.minGap);
        for (const c of sources.filter(allowed)) expect(c.value).toBeLessThanOrEqual(sourceChosen.value);
        for (const c of target.filter(allowed)) {
          expect(c.value).toBeLessThanOrEqual(targetChosen.value);
          expect(c.value).toBeGreaterThanOrEqual(rejected.value);
        }
        for (const c of [sourceChosen, targetChosen, rejected]) expect(allowed(c as Candidate)).toBe(true);
      }
    }
  });

  test("a prompt that comes twice, and a reward that is no number, are defects of the caller", async () => {
    await expect(selectBest([prompt([], []), prompt([], [])], paper)).rejects.toThrow(/twice/);
    await expect(selectBest([prompt([candidate("a", Number.NaN)], [])], paper)).rejects.toThrow(/NaN/);
  });
});

describe("split", () => {
  const ids = Array.from({ length: 1000 }, (_, i) => `prompt ${i}`);

  test("disjoint, complete, exact in proportion, in the given order", () => {
    for (const [count, share] of [
      [1000, 1 / 3],
      [7, 0.5],
      [2, 0.3],
      [999, 0.01],
    ] as const) {
      const some = ids.slice(0, count);
      const { sft, wrpo } = splitPrompts(some, share, 42);
      expect(sft.length).toBe(Math.round(count * share));
      expect(new Set([...sft, ...wrpo]).size).toBe(count);
      expect(some.filter((id) => sft.includes(id))).toEqual(sft);
    }
  });

  test("the seed decides, the order of the prompts doesn't", () => {
    const { sft } = splitPrompts(ids, 1 / 3, 42);
    expect(splitPrompts(ids.toReversed(), 1 / 3, 42).sft.toReversed()).toEqual(sft);
    const other = splitPrompts(ids, 1 / 3, 43).sft.filter((id) => sft.includes(id)).length;
    // Hypergeometric: 333 draws of 333 in 1000 share 110.9 on average, with a standard deviation of 7.0.
    expect(Math.abs(other - 110.9)).toBeLessThan(5 * 7.1);
  });

  test("a split without prompts is an error of the recipe", () => {
    expect(() => splitPrompts(["a"], 1 / 3, 1)).toThrow(RecipeError);
    expect(() => splitPrompts([], 1 / 3, 1)).toThrow(RecipeError);
    expect(() => splitPrompts(["a", "b"], 0.9, 1)).toThrow(/none for preference training/);
    expect(() => splitPrompts(["a", "b", "a"], 0.5, 1)).toThrow(DataError);
  });
});

test("contributions: who gave y_ws, who only tied, what each scored", async () => {
  const given = [
    prompt([candidate("a", 1, { key: "1" }), candidate("b", 1, { key: "2" }), candidate("c", 0)], [], "p1"),
    prompt([candidate("a", 0), candidate("b", 3), candidate("c", 9, { text: " " })], [], "p2"),
    prompt([candidate("a", 2), candidate("b", 5, { finish: "length" })], [], "p3"),
    prompt([candidate("c", 4, { text: "" })], [], "p4"),
  ];
  const rule: SelectionRule = { minGap: 0, unfinished: "drop" };
  const { selected } = await selectBest(given, rule);
  const row = { empty: 0, unfinished: 0 };
  const { sources, domains } = await contributions(given, selected, rule);
  expect(sources).toMatchObject([
    { ...row, source: "a", responses: 3, meanReward: 1, chosen: 2, chosenShare: 2 / 3, reachedBest: 2 },
    { ...row, source: "b", responses: 3, meanReward: 3, chosen: 1, chosenShare: 1 / 3, reachedBest: 2, unfinished: 1 },
    { ...row, source: "c", responses: 3, meanReward: 13 / 3, chosen: 0, chosenShare: 0, reachedBest: 0, empty: 2 },
  ]);
  expect(domains).toEqual([]);
});

test("contributions: wins against other sources, at equal length, and by domain", async () => {
  const text = (length: number) => ({ text: "x".repeat(length) });
  const given = [
    {
      ...prompt([candidate("a", 1, text(100)), candidate("a", 0, text(50)), candidate("b", 0.5, text(105))], [], "p1"),
      domain: "maths",
    },
    { ...prompt([candidate("a", 2, text(10)), candidate("b", 2, text(10))], [], "p2"), domain: "maths" },
    { ...prompt([candidate("a", 1, text(10)), candidate("c", 3, text(100))], [], "p3"), domain: "code" },
  ];
  const { selected } = await selectBest(given, paper);
  const { sources, domains } = await contributions(given, selected, paper);
  const wins = (rows: typeof sources) =>
    Object.fromEntries(rows.map((row) => [row.source, [row.winShare, row.equalLengthWinShare]]));
  // a: won 1 of 2 in p1, half in p2, lost p3; at equal length won 1 in p1 and half in p2.
  expect(wins(sources)).toEqual({ a: [1.5 / 4, 1.5 / 2], b: [1.5 / 3, 0.5 / 2], c: [1, null] });
  expect(domains.map(({ domain, source, responses }) => [domain, source, responses])).toEqual([
    ["code", "c", 1],
    ["code", "a", 1],
    ...domains.slice(2).map(({ source, responses }) => ["maths", source, responses]),
  ]);
  expect(wins(domains.slice(2))).toEqual({ a: [0.5, 0.75], b: [0.5, 0.25] });
  expect(domains.slice(2).reduce((sum, { chosenShare }) => sum + chosenShare, 0)).toBeCloseTo(1, 12);
});
