import { describe, expect, test } from "vitest";
import { manualSeed, ops, type Tensor, tensor } from "../torch/index.ts";
import { randomStream } from "./random-stream.ts";
import { pick, type SamplerSettings, sampleTokens } from "./sampler.ts";

const choose = (logits: Tensor, settings: SamplerSettings, uniforms: readonly number[]) =>
  sampleTokens(
    logits,
    uniforms.map((uniform) => ({ settings, uniform, prompt: [], ids: [] })),
  );

const plain: SamplerSettings = { temperature: 1, topP: 1, topK: 0 };

/**
 * The distribution by its definition: softmax at the temperature, cut to the topK most probable, then to the fewest of
 * these that hold a share of topP, then to those that have minP of the most probable one's; what is left is scaled to one.
 */
function exact(logits: readonly number[], { temperature, topP, topK, minP = 0 }: SamplerSettings): number[] {
  const top = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp((logit - top) / temperature));
  const order = [...logits.keys()].sort((a, b) => weights[b]! - weights[a]!);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const mass = kept.reduce((sum, k) => sum + weights[k]!, 0);
  const nucleus: number[] = [];
  let share = 0;
  for (const k of kept) {
    if (share >= topP || weights[k]! < minP * weights[kept[0]!]!) break;
    nucleus.push(k);
    share += weights[k]! / mass;
  }
  const total = nucleus.reduce((sum, k) => sum + weights[k]!, 0);
  return logits.map((_, k) => (nucleus.includes(k) ? weights[k]! / total : 0));
}

/** Wilson and Hilferty's normal deviate of a chi-square. */
function deviate(chiSquare: number, degrees: number): number {
  const spread = 2 / (9 * degrees);
  return (Math.cbrt(chiSquare / degrees) - (1 - spread)) / Math.sqrt(spread);
}

describe.each([
  ["plain", 12, plain],
  ["hot", 12, { ...plain, temperature: 1.7 }],
  ["cold", 12, { ...plain, temperature: 0.4 }],
  ["top-p", 12, { ...plain, topP: 0.8 }],
  ["top-k", 12, { ...plain, topK: 4 }],
  ["top-k before top-p", 12, { ...plain, topK: 5, topP: 0.7 }],
  ["all three", 12, { temperature: 0.8, topK: 6, topP: 0.9 }],
  ["min-p", 12, { ...plain, minP: 0.15 }],
  ["min-p after top-k and top-p", 12, { temperature: 1.2, topK: 9, topP: 0.9, minP: 0.1 }],
  ["min-p beyond what is looked at first", 700, { temperature: 3, topP: 1, topK: 0, minP: 0.01 }],
  ["a vocabulary of more tokens than are looked at first", 700, plain],
  ["top-p in a large flat vocabulary", 700, { temperature: 3, topP: 0.95, topK: 0 }],
  ["top-k beyond what is looked at first", 700, { temperature: 2, topP: 0.9, topK: 600 }],
] as const)("%s", (name, vocabulary, settings) => {
  test("draws follow the exact distribution", () => {
    manualSeed(vocabulary);
    const logits = ops.randn([vocabulary]).mul(1.5);
    const numbers = Array.from({ length: vocabulary }, (_, k) => logits.select(0, k).item() as number);
    const count = 20_000;
    const stream = randomStream("chi-square", name);
    const uniforms = Array.from({ length: count }, (_, step) => stream.uniform(step));
    const drawn = choose(logits.unsqueeze(0).expand([count, vocabulary]).contiguous(), settings, uniforms);
    const counts = new Array<number>(vocabulary).fill(0);
    for (const token of drawn) counts[token]! += 1;
    let chiSquare = 0;
    let rare = { expected: 0, seen: 0 };
    let cells = 0;
    for (const [k, probability] of exact(numbers, settings).entries()) {
      const expected = probability * count;
      if (probability === 0) expect(counts[k], `token ${k} is cut off`).toBe(0);
      else if (expected < 10) rare = { expected: rare.expected + expected, seen: rare.seen + counts[k]! };
      else {
        chiSquare += (counts[k]! - expected) ** 2 / expected;
        cells += 1;
      }
    }
    if (rare.expected > 0) {
      chiSquare += (rare.seen - rare.expected) ** 2 / rare.expected;
      cells += 1;
    }
    expect(cells).toBeGreaterThan(1);
    expect(deviate(chiSquare, cells - 1)).toBeLessThan(3.5);
  });
});

test("temperature 0 takes the most probable token, whatever the number", () => {
  const logits = tensor([1, 3, 2, 5, 4, 5.5, -1, 0, 0.5], [3, 3]);
  for (const u of [0, 0.5, 0.999999])
    expect(choose(logits, { temperature: 0, topP: 0.1, topK: 1 }, [u, u, u])).toEqual([1, 2, 2]);
});

test("a row's token depends on its own logits and number alone", () => {
  manualSeed(3);
  const logits = ops.randn([40, 700]).mul(2);
  const stream = randomStream("rows");
  const uniforms = Array.from({ length: 40 }, (_, step) => stream.uniform(step));
  for (const settings of [plain, { temperature: 2, topP: 0.97, topK: 0 }, { temperature: 1, topP: 0.9, topK: 20 }]) {
    const together = choose(logits, settings, uniforms);
    const alone = uniforms.flatMap((u, row) => choose(logits.narrow(0, row, 1), settings, [u]));
    expect(alone).toEqual(together);
  }
});

describe("the nucleus", () => {
  const of = (probabilities: number[], settings: Partial<SamplerSettings>, u: number) =>
    pick(probabilities, true, { ...plain, ...settings }, u);
  const almostOne = 1 - 2 ** -53;

  test("is the fewest tokens that reach the mass: one that reaches it exactly is the last", () => {
    const halves = [0.5, 0.25, 0.125, 0.125];
    expect(of(halves, { topP: 0.5 }, almostOne)).toBe(0);
    expect(of(halves, { topP: 0.75 }, almostOne)).toBe(1);
    expect(of(halves, { topP: 0.75 + 1e-9 }, almostOne)).toBe(2);
    expect(of(halves, { topP: 1 }, almostOne)).toBe(3);
  });

  test("takes of equal tokens as many as it needs, not all", () => {
    const equal = [0.25, 0.25, 0.25, 0.25];
    expect(of(equal, { topP: 0.5 }, almostOne)).toBe(1);
    expect(of(equal, { topP: 0.51 }, almostOne)).toBe(2);
  });

  test("holds one token at least", () => {
    expect(of([0.9, 0.1], { topP: 1e-9 }, almostOne)).toBe(0);
  });

  test("is cut from what topK leaves, whose mass counts as one", () => {
    // Of [.4, .3 | .2, .1] the first holds 4/7 = .571.
    expect(of([0.4, 0.3, 0.2, 0.1], { topK: 2, topP: 0.55 }, almostOne)).toBe(0);
    expect(of([0.4, 0.3, 0.2, 0.1], { topK: 2, topP: 0.6 }, almostOne)).toBe(1);
    expect(of([0.4, 0.3, 0.2, 0.1], { topK: 2, topP: 1 }, almostOne)).toBe(1);
  });

  test("a head that does not decide leaves the choice open", () => {
    const head = [0.3, 0.2];
    const undecided = (settings: Partial<SamplerSettings>, u: number) =>
      pick(head, false, { ...plain, ...settings }, u);
    expect(undecided({}, 0.31)).toBe(1);
    expect(undecided({}, 0.5)).toBeUndefined();
    expect(undecided({ topP: 0.9 }, 0.1)).toBeUndefined();
    expect(undecided({ topP: 0.5 }, 0.59)).toBe(0);
    expect(undecided({ topP: 0.5 }, 0.61)).toBe(1);
    expect(undecided({ topK: 2 }, 0.7)).toBe(1);
  });
});

test("a token that the model doesn't have is banned from no row", () => {
  const logits = tensor(Float32Array.from([0, 9, 0, 9, 0, 0]), [2, 3]);
  const draw = { settings: { ...plain, temperature: 0 }, uniform: 0.5, prompt: [], ids: [] };
  expect(sampleTokens(logits, [{ ...draw, banned: [1, 3, 6] }, draw])).toEqual([0, 0]);
});

test.each([1e-29, 1e-31, 1e-40, 1e-300])("at temperature %d the most probable token is taken", (temperature) => {
  for (const best of [0, 1, 2, 3]) {
    const logits = tensor(
      Float32Array.from([0, 1, 2, 3], (k) => (k === best ? 90 : k)),
      [1, 4],
    );
    expect(choose(logits, { ...plain, temperature }, [0.999])).toEqual([best]);
  }
});
