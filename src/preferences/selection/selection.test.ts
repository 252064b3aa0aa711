import { describe, expect, test } from "vitest";
import type { Finish } from "../../schema/index.ts";
import {
  type Candidate,
  type PromptCandidates,
  type SelectedPair,
  type SelectedQuadruple,
  type Selection,
  type SelectionRule,
  selectBest,
  selectPairs,
  selectQuadruples,
  splitPrompts,
} from "../index.ts";
import { similarity } from "../testing/jaccard.ts";

const paper: SelectionRule = { minGap: 0, unfinished: "keep" };

let made = 0;
function candidate(source: string, value: number, text = `text ${made}`, over: Partial<Candidate> = {}): Candidate {
  made += 1;
  const tokens = { promptTokens: 1, responseTokens: 1 };
  return { key: `key-${made}`, promptId: "p", source, index: made, text, finish: "stop", ...tokens, value, ...over };
}

const prompt = (
  sources: readonly Candidate[],
  target: readonly Candidate[] = [],
  promptId = "p",
  domain?: string,
): PromptCandidates => ({ promptId, sources, target, ...(domain === undefined ? {} : { domain }) });

/** Uniform numbers in [0, 1), the same every time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

function shuffled<T>(items: readonly T[], next: () => number): T[] {
  const lots = items.map((item) => ({ item, lot: next() }));
  return lots.sort((a, b) => a.lot - b.lot).map(({ item }) => item);
}

/** Prompts of three domains with up to four sources, many ties, near texts, empty and cut-off responses. */
function world(count: number, next: () => number): PromptCandidates[] {
  const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
  const sentence = "the rain fell on the old stone bridge until the morning came and the river rose";
  const texts = ["", "yes", sentence, `${sentence} again`, `${sentence}, and it was cold`, "no one knew why", "tea"];
  const draw = (source: string) =>
    candidate(source, pick([-1, 0, 0.2, 0.25, 0.3, 0.5, 0.5, 1]), pick([...texts, `text ${made}`]), {
      key: `${Math.floor(next() * 1e9)}`,
      finish: pick<Finish>(["stop", "stop", "stop", "length"]),
    });
  return Array.from({ length: count }, (_, index) =>
    prompt(
      Array.from({ length: Math.floor(next() * 10) }, () => draw(pick(["a", "b", "c", "d"]))),
      Array.from({ length: Math.floor(next() * 6) }, () => draw("t")),
      `p${index}`,
      pick(["maths", "code", undefined]),
    ),
  );
}

const rules: Readonly<Record<string, Partial<SelectionRule>>> = {
  "the paper's": {},
  "a group of the sources": { sources: { names: ["a", "c"], count: 1, of: "different_sources" } },
  "the second-ranked source": { sources: { count: 1, of: "different_sources", rank: 2 } },
  "the best of each of three": { sources: { count: 3, of: "different_sources" } },
  "places two and three of all responses": { sources: { count: 2, of: "any_source", rank: 2 } },
  "y_l of y_ws's source": { rejectedFrom: "same_source" },
  "y_l of all sources": { rejectedFrom: "sources" },
  "a margin window": { rejectedFrom: "same_source", minGap: 0.1, maxGap: 0.5 },
  "near-equals, the shortest": { nearEqual: 0.06, amongEquals: "shortest" },
  "near-equals, alike in length": { nearEqual: 0.06, amongEquals: "like_length" },
  "a price of length": { lengthPenalty: 3 },
  diversity: { maxSimilarity: 0.6, sources: { count: 2, of: "any_source" } },
  "diversity across prompts": { acrossPrompts: { maxSimilarity: 0.7, atMost: 5 } },
  "an earlier taste for long ones": { lengthPenalty: -2 },
  "a quota": { maxPerDomain: 20 },
  "everything at once": {
    sources: { names: ["a", "b", "d"], count: 1, of: "different_sources", rank: 2 },
    ...{ rejectedFrom: "same_source", minGap: 0.05, maxGap: 1, unfinished: "drop", nearEqual: 0.06 },
    ...{ amongEquals: "like_length", lengthPenalty: 1, maxSimilarity: 0.9, maxPerDomain: { maths: 15, "": 5 } },
    acrossPrompts: { maxSimilarity: 0.8, atMost: 9 },
  },
};

const worthBy =
  ({ lengthPenalty = 0 }: SelectionRule) =>
  ({ value, text }: Candidate) =>
    value - (lengthPenalty * text.length) / 1000;

/** What holds of a row whatever the rule. */
function checkRow(row: SelectedPair | SelectedQuadruple, given: PromptCandidates, rule: SelectionRule): void {
  const worth = worthBy(rule);
  const preferred = "targetChosen" in row ? row.targetChosen : row.sourceChosen;
  const more = "targetChosen" in row ? (row.furtherSources ?? []) : [];
  const gap = worth(preferred as Candidate) - worth(row.rejected as Candidate);
  expect(gap).toBeGreaterThan(0);
  expect(gap).toBeGreaterThanOrEqual(rule.minGap - 1e-9);
  expect(gap).toBeLessThanOrEqual((rule.maxGap ?? Number.POSITIVE_INFINITY) + 1e-9);
  const chosen = [row.sourceChosen, ...more] as Candidate[];
  for (const one of chosen) {
    expect(given.sources).toContain(one);
    if (rule.sources?.names !== undefined) expect(rule.sources.names).toContain(one.source);
    const usable = one.text.trim() !== "" && (rule.unfinished === "keep" || one.finish === "stop");
    expect(usable).toBe(true);
  }
  expect(chosen).toHaveLength("targetChosen" in row ? (rule.sources?.count ?? 1) : 1);
  expect(new Set(chosen.map(({ text }) => text)).size).toBe(chosen.length);
  if (rule.sources?.of === "different_sources")
    expect(new Set(chosen.map(({ source }) => source)).size).toBe(chosen.length);
  for (const [at, one] of chosen.entries()) {
    if (at > 0) expect(worth(one)).toBeLessThanOrEqual(worth(chosen[at - 1]!) + (rule.nearEqual ?? 0) + 1e-9);
    for (const other of [...chosen.slice(at + 1), row.rejected])
      if ((rule.maxSimilarity ?? 1) < 1) expect(similarity(one.text, other.text)).toBeLessThan(rule.maxSimilarity!);
  }
  const from = rule.rejectedFrom ?? "target";
  if (from === "same_source") expect(row.rejected.source).toBe(row.sourceChosen.source);
  expect(from === "target" ? given.target : given.sources).toContain(row.rejected);
}

describe.each(Object.entries(rules))("properties of the rule: %s", (_, parts) => {
  const rule: SelectionRule = { ...paper, ...parts };

  test.each([
    ["quadruples", selectQuadruples],
    ["pairs", selectPairs],
  ] as const)("%s", async (_name, select) => {
    const next = random(11);
    const given = world(150, next);
    const byId = new Map(given.map((one) => [one.promptId, one]));
    const result: Selection<SelectedPair> = await select(given, rule);
    expect(result.selected.length).toBeGreaterThan(3);

    const mixed = given.map((one) => ({
      ...one,
      sources: shuffled(one.sources, next),
      target: shuffled(one.target, next),
    }));
    expect(await select(mixed, rule)).toEqual(result);
    const sorted = ({ selected, leftOut }: Selection<SelectedPair>) =>
      [...selected, ...leftOut].toSorted((a, b) => (a.promptId < b.promptId ? -1 : 1));
    expect(sorted(await select(shuffled(mixed, next), rule))).toEqual(sorted(result));

    const ids = [...result.selected, ...result.leftOut].map(({ promptId }) => promptId);
    expect(ids.toSorted()).toEqual([...byId.keys()].toSorted());
    expect(Object.values(result.counts).reduce((a, b) => a + b)).toBe(result.leftOut.length);
    for (const row of result.selected) checkRow(row, byId.get(row.promptId)!, rule);
  });

  test("supervised and preference prompts are disjoint, whatever is selected of them", async () => {
    const given = world(150, random(12));
    const { sft, wrpo } = splitPrompts(
      given.map(({ promptId }) => promptId),
      1 / 3,
      42,
    );
    const of = (ids: readonly string[]) => given.filter(({ promptId }) => ids.includes(promptId));
    const tuned = await selectBest(of(sft), rule);
    const preferred = await selectPairs(of(wrpo), rule);
    const ids = [...tuned.selected, ...preferred.selected].map(({ promptId }) => promptId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(tuned.selected.length).toBeGreaterThan(2);
  });
});

const y = (value: number, text?: string) => candidate("t", value, text);

describe("which response stands for y_ws", () => {
  const [best, twin, second, third] = [
    candidate("a", 0.9),
    candidate("a", 0.8),
    candidate("b", 0.7),
    candidate("c", 0.6),
  ] as const;
  const given = prompt([third, twin, second, best], [y(1), y(0)]);
  const chosen = async (sources: NonNullable<SelectionRule["sources"]>) => {
    const { selected, leftOut } = await selectQuadruples([given], { ...paper, sources });
    const [row] = selected;
    return row === undefined ? leftOut[0]!.leftOut : [row.sourceChosen, ...(row.furtherSources ?? [])];
  };

  test("by its place among the sources, or among all responses (Table 9)", async () => {
    expect(await chosen({ count: 1, of: "different_sources", rank: 2 })).toEqual([second]);
    expect(await chosen({ count: 1, of: "any_source", rank: 2 })).toEqual([twin]);
    expect(await chosen({ count: 2, of: "different_sources", rank: 2 })).toEqual([second, third]);
    expect(await chosen({ count: 1, of: "different_sources", rank: 4 })).toBe("too-few-source-responses");
    const sources = { count: 1, of: "different_sources", rank: 2 } as const;
    expect((await selectBest([given], { ...paper, sources })).selected[0]!.sourceChosen).toBe(second);
  });

  test("of a group of the sources only (Tables 4 and 9)", async () => {
    expect(await chosen({ names: ["b", "c"], count: 1, of: "different_sources" })).toEqual([second]);
    expect(await chosen({ names: ["b", "c"], count: 2, of: "different_sources" })).toEqual([second, third]);
    expect(await chosen({ names: ["nobody"], count: 1, of: "any_source" })).toBe("no-source-response");
  });
});

describe("pairs", () => {
  const pair = async (
    sources: readonly Candidate[],
    over: Partial<SelectionRule>,
    target: readonly Candidate[] = [],
  ) => {
    const { selected, leftOut } = await selectPairs([prompt(sources, target)], { ...paper, ...over });
    return selected[0] === undefined ? leftOut[0]!.leftOut : [selected[0].sourceChosen, selected[0].rejected];
  };
  const [high, wide, near, low] = [
    candidate("a", 0.9),
    candidate("a", 0.2),
    candidate("b", 0.8),
    candidate("b", 0.75),
  ] as const;
  const all = [near, wide, low, high];

  test("of the best source whose best and worst are within the gaps (FuseChat-3.0)", async () => {
    const same = { rejectedFrom: "same_source" } as const;
    expect(await pair(all, same)).toEqual([high, wide]);
    expect(await pair(all, { ...same, minGap: 0.01, maxGap: 0.1 })).toEqual([near, low]);
    expect(await pair(all, { ...same, minGap: 0.01, maxGap: 0.04 })).toBe("gap-above-maximum");
    expect(await pair(all, { ...same, minGap: 0.8 })).toBe("gap-below-minimum");
    expect(await pair([high, near], same)).toBe("one-source-response");
    expect(await pair([high, near, low], same)).toEqual([near, low]);
    const rounding = [candidate("a", 1.1), candidate("a", 1)];
    expect(await pair(rounding, { ...same, minGap: 0.1, maxGap: 0.1 })).toEqual(rounding);
  });

  test("y_l is of all sources, or of the target, which may be the better", async () => {
    expect(await pair([near, low, high], { rejectedFrom: "sources" })).toEqual([high, low]);
    const own = [y(0.5), y(0.1)];
    expect(await pair([near], {}, own)).toEqual([near, own[1]]);
    expect(await pair([near], {}, [y(0.95)])).toBe("rejected-is-better");
    expect(await pair([near], {}, [y(0.8)])).toBe("rewards-equal");
    expect(await pair([near], {})).toBe("no-target-response");
  });
});

describe("equals and lengths", () => {
  const target = async (own: readonly Candidate[], over: Partial<SelectionRule>) => {
    const { selected, leftOut } = await selectQuadruples([prompt([candidate("a", 2)], own)], { ...paper, ...over });
    return selected[0] === undefined ? leftOut[0]!.leftOut : [selected[0].targetChosen, selected[0].rejected];
  };
  const [long, short, bad, worse] = [
    y(1, "l".repeat(90)),
    y(0.95, "s".repeat(20)),
    y(0.1, "b".repeat(88)),
    y(0.05, "w".repeat(21)),
  ] as const;
  const own = [bad, short, worse, long];

  test("among near-equals the shortest, or the dispreferred one that is as long as the preferred", async () => {
    expect(await target(own, {})).toEqual([long, worse]);
    expect(await target(own, { nearEqual: 0.05, amongEquals: "shortest" })).toEqual([short, worse]);
    const alike = await target([long, bad, worse], { nearEqual: 0.05, amongEquals: "like_length" });
    expect(alike).toEqual([long, bad]);
    expect(await target([long, short], { nearEqual: 0.05 })).toBe("rewards-equal");
  });

  test("a price for length changes who is best, and the gap", async () => {
    expect(await target(own, { lengthPenalty: 1 })).toEqual([short, bad]);
    // 0.95 - 0.020 and 0.1 - 0.088
    expect(await target(own, { lengthPenalty: 1, minGap: 0.918 })).toEqual([short, bad]);
    expect(await target(own, { lengthPenalty: 1, minGap: 0.919 })).toBe("gap-below-minimum");
  });

  test("without near-equals, ties alone are decided by length", async () => {
    const tie = [y(1, "a longer text"), y(1, "a text"), y(0, "zero")];
    expect(await target(tie, { amongEquals: "shortest" })).toEqual([tie[1], tie[2]]);
  });
});

describe("diversity and quotas", () => {
  const sentence = "the rain fell on the old stone bridge until the morning came";

  test("no two texts of a row are near alike", async () => {
    const sources = [candidate("a", 1, sentence), candidate("b", 0.9, `${sentence}!`), candidate("c", 0.8, "tea")];
    const rule: SelectionRule = { ...paper, maxSimilarity: 0.8, sources: { count: 2, of: "different_sources" } };
    const { selected } = await selectQuadruples([prompt(sources, [y(1), y(0)])], rule);
    expect([selected[0]!.sourceChosen, ...selected[0]!.furtherSources!]).toEqual([sources[0], sources[2]]);
    const own = [y(1, "a b c d e f g h"), y(0, `${sentence}.`)];
    expect((await selectQuadruples([prompt(sources, own)], rule)).leftOut[0]!.leftOut).toBe("texts-alike");
  });

  test("each domain has as many prompts as its quota allows, by lot and not by their order", async () => {
    const given = Array.from({ length: 60 }, (_, at) =>
      prompt([candidate("a", 1)], [], `p${at}`, ["maths", "code", undefined][at % 3]),
    );
    const kept = async (maxPerDomain: NonNullable<SelectionRule["maxPerDomain"]>, prompts = given) => {
      const { selected, leftOut, counts } = await selectBest(prompts, { ...paper, maxPerDomain });
      expect(counts["domain-full"]).toBe(leftOut.length);
      const of = (name: string) => selected.filter(({ domain = "" }) => domain === name);
      return { maths: of("maths"), code: of("code"), none: of("") };
    };
    const one = await kept(7);
    expect(Object.values(one).map((list) => list.length)).toEqual([7, 7, 7]);
    const some = await kept({ maths: 3, code: 0 });
    expect(Object.values(some).map((list) => list.length)).toEqual([3, 0, 20]);
    const backwards = await kept(7, given.toReversed());
    expect(backwards.maths.toReversed()).toEqual(one.maths);
    // Not the first seven: a draw of 7 of 20 gives these once in 77,520 times.
    expect(one.maths.map(({ promptId }) => promptId)).not.toEqual(["p0", "p3", "p6", "p9", "p12", "p15", "p18"]);
  });
});
