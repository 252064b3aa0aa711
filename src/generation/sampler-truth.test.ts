import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tensor } from "../torch/index.ts";
import { randomStream } from "./random-stream.ts";
import { type SamplerSettings, sampleTokens } from "./sampler.ts";

interface Case {
  readonly settings: {
    readonly temperature?: number;
    readonly repetition?: number;
    readonly frequency?: number;
    readonly presence?: number;
    readonly bias?: Readonly<Record<string, number>>;
    readonly min_p?: number;
    readonly top_k?: number;
    readonly top_p?: number;
  };
  readonly logits: number[];
  readonly prompt: number[];
  readonly response: number[];
  readonly probabilities: number[];
}
// Made by bench/fixtures/sampling_truth.py.
const cases = JSON.parse(readFileSync(new URL("./fixtures/sampling.json", import.meta.url), "utf8")) as Case[];

const settingsOf = (given: Case["settings"]): SamplerSettings => ({
  temperature: given.temperature ?? 1,
  topP: given.top_p ?? 1,
  topK: given.top_k ?? 0,
  minP: given.min_p ?? 0,
  repetitionPenalty: given.repetition ?? 1,
  presencePenalty: given.presence ?? 0,
  frequencyPenalty: given.frequency ?? 0,
  logitBias: new Map(Object.entries(given.bias ?? {}).map(([id, bias]) => [Number(id), bias])),
});

/**
 * The share of numbers in [0, 1) that gives each token, from an even grid of them: inverse transform has one interval for each
 * token, so that it is the token's probability within one step of the grid.
 */
function shares({ settings: given, logits, prompt, response }: Case, count: number): number[] {
  const settings = settingsOf(given);
  const draws = Array.from({ length: count }, (_, k) => ({
    settings,
    uniform: (k + 0.5) / count,
    prompt,
    ids: response,
  }));
  const rows = tensor(logits).unsqueeze(0).expand([count, logits.length]).contiguous();
  const seen = new Array<number>(logits.length).fill(0);
  for (const token of sampleTokens(rows, draws)) seen[token]! += 1 / count;
  return seen;
}

test.each(cases.map((one) => [JSON.stringify(one.settings), one] as const))(
  "with %s tokens are as probable as transformers and vLLM make them",
  (_, one) => {
    const count = 2000;
    const seen = shares(one, count);
    for (const [token, probability] of one.probabilities.entries()) {
      if (probability === 0) expect(seen[token], `token ${token} is left out`).toBe(0);
      expect(Math.abs(seen[token]! - probability), `token ${token}`).toBeLessThan(1.5 / count);
    }
  },
);

test("draws by a response's own stream follow these probabilities: chi-square", () => {
  for (const one of cases) {
    const { settings: given, logits, prompt, response } = one;
    const count = 4000;
    const stream = randomStream("penalties", JSON.stringify(given));
    const settings = settingsOf(given);
    const rows = tensor(logits).unsqueeze(0).expand([count, logits.length]).contiguous();
    const draws = Array.from({ length: count }, (_, k) => ({
      settings,
      uniform: stream.uniform(k),
      prompt,
      ids: response,
    }));
    const seen = new Array<number>(logits.length).fill(0);
    for (const token of sampleTokens(rows, draws)) seen[token]! += 1;
    const cells = one.probabilities.flatMap((p, token) => (p * count >= 5 ? [{ p, seen: seen[token]! }] : []));
    const chiSquare = cells.reduce((sum, cell) => sum + (cell.seen - cell.p * count) ** 2 / (cell.p * count), 0);
    // Wilson and Hilferty's normal deviate.
    const degrees = cells.length;
    const spread = 2 / (9 * degrees);
    expect((Math.cbrt(chiSquare / degrees) - (1 - spread)) / Math.sqrt(spread)).toBeLessThan(3.5);
  }
});
