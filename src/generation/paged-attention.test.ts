import { afterAll, beforeAll, expect, test } from "vitest";
import type { DecoderConfig } from "../models/index.ts";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { type DType, manualSeed, noGrad, ops, type Tensor, toNumbers } from "../torch/index.ts";
import { type Children, compileForChildren } from "../torch/testing/child.ts";
import { hasInstructions, instructionSets } from "../torch/testing/instruction-sets.ts";
import { gatheredAttention } from "./gathered-attention.ts";
import { copyPages, createPages, type PageStore } from "./page-store.ts";
import { pagedAttention, type Run } from "./paged-attention.ts";

/** Prompts and parts of them, single tokens that share pages with others and that don't, one token that is a text's first. */
const runs: Run[] = [
  { count: 50, position: 0, pages: [3, 4] },
  { count: 1, position: 70, pages: [0, 1, 7] },
  { count: 40, position: 33, pages: [0, 5, 6] },
  { count: 1, position: 66, pages: [0, 1, 8] },
  { count: 1, position: 0, pages: [9] },
  { count: 1, position: 95, pages: [0, 1, 10] },
];
const tokens = runs.reduce((sum, { count }) => sum + count, 0);

const configs = async (): Promise<DecoderConfig[]> => {
  const { config } = (await tinyModel("llama")).decoder;
  const shape = { ...config, heads: 6, keyValueHeads: 2, headDim: 24, attentionScale: 0.3 };
  const layers = [null, 40].map((window) => ({ rope: null, window }));
  return [null, 3].map((attentionSoftcap) => ({ ...shape, layers, attentionSoftcap }));
};

/** A store whose pages hold random numbers, as if texts had been computed. */
function filled(config: DecoderConfig, dtype: DType): PageStore {
  const store = createPages(config, 12, dtype, "cpu");
  for (const held of store.flatMap(({ keys, values }) => [keys, values]))
    held.copy_(ops.randn(held.shape, { dtype: "float64" }));
  return store;
}

const clone = (store: PageStore): PageStore =>
  store.map(({ keys, values }) => ({ keys: keys.clone(), values: values.clone() }));

const inputs = (config: DecoderConfig, dtype: DType): [Tensor, Tensor, Tensor] => {
  const make = (heads: number) => ops.randn([tokens, heads, config.headDim], { dtype: "float64" }).to(dtype);
  return [make(config.heads), make(config.keyValueHeads), make(config.keyValueHeads)];
};

const farthest = (a: Tensor, b: Tensor) => a.to("float64").sub(b.to("float64")).abs().max().item() as number;

test.each([
  ["float64", 1e-12],
  ["float32", 2e-6],
  ["bfloat16", 2e-2],
] as const)("in %s it is the attention of libtorch's operators over the same pages", async (dtype, tolerance) => {
  for (const config of await configs())
    noGrad(() => {
      manualSeed(7);
      const store = filled(config, dtype);
      const [q, k, v] = inputs(config, dtype);
      const same = clone(store);
      for (const layer of config.layers.keys()) {
        const got = pagedAttention(config, store, runs)(layer, q, k, v);
        const want = gatheredAttention(config, same, runs)(layer, q, k, v);
        expect(farthest(got, want)).toBeLessThan(tolerance);
        expect(toNumbers(store[layer]!.keys.to("float64"))).toEqual(toNumbers(same[layer]!.keys.to("float64")));
      }
    });
});

test("places that were never written are never read, and a text's attention is bit for bit the same alone and with others", async () => {
  for (const config of await configs())
    noGrad(() => {
      manualSeed(8);
      const store = filled(config, "float32");
      // What follows the last token of each text.
      for (const { keys, values } of store) {
        keys.select(0, 4).narrow(2, 18, 14).fill_(Number.NaN);
        values.select(0, 4).narrow(1, 18, 14).fill_(Number.NaN);
        keys.select(0, 9).narrow(2, 1, 31).fill_(Number.NaN);
        values.select(0, 9).narrow(1, 1, 31).fill_(Number.NaN);
      }
      const [q, k, v] = inputs(config, "float32");
      for (const layer of config.layers.keys()) {
        const together = toNumbers(pagedAttention(config, store, runs)(layer, q, k, v));
        expect(together.every(Number.isFinite)).toBe(true);
        let at = 0;
        for (const run of runs) {
          const part = (x: Tensor) => x.narrow(0, at, run.count);
          const alone = toNumbers(pagedAttention(config, store, [run])(layer, part(q), part(k), part(v)));
          const width = config.heads * config.headDim;
          expect(alone).toEqual(together.slice(at * width, (at + run.count) * width));
          at += run.count;
        }
      }
    });
});

test("a copy of a page holds the same", async () => {
  const [config] = await configs();
  const store = filled(config!, "float32");
  copyPages(store, [
    [3, 11],
    [4, 2],
  ]);
  for (const { keys, values } of store)
    for (const held of [keys, values]) {
      expect(farthest(held.select(0, 11), held.select(0, 3))).toBe(0);
      expect(farthest(held.select(0, 2), held.select(0, 4))).toBe(0);
    }
});

let children: Children;
beforeAll(() => {
  children = compileForChildren();
});
afterAll(() => children.remove());

const deviation = `
  import { manualSeed, native, ops } from "./dist/torch/index.js";
  manualSeed(3);
  const double = [[5, 6, 24], [5, 2, 24], [5, 2, 24], [3, 2, 24, 32], [3, 2, 32, 32]].map((shape) => ops.randn(shape, { dtype: "float64" }));
  const numbers = [[40, 41, 42, 43, 66], [0, 8, 1, 9, 2, 10, 3, 11, 4, 34], [0, 4, 0, 2, 4, 1, 2, 2], [0, 4, 0, 0, 0, 4, 1, 0, 0, 1, 0, 0, 0, 1, 2, 32]];
  const run = (given, window, cap) => native().attendPages(...given, ...numbers.map((list) => Int32Array.from(list)), 0.3, window, cap);
  console.log(JSON.stringify([[0, 0], [9, 0], [0, 2]].map(([window, cap]) => {
    const want = run(double.map((x) => x.clone()), window, cap);
    const got = run(double.map((x) => x.to("float32")), window, cap);
    return got.to("float64").sub(want).abs().max().item() / want.abs().max().item();
  })));
`;

for (const capability of instructionSets)
  test.runIf(hasInstructions(capability))(
    `it is exact but for rounding with the instructions of ATEN_CPU_CAPABILITY=${capability}`,
    async () => {
      const { stdout, stderr } = await children.run(deviation, [], { ATEN_CPU_CAPABILITY: capability });
      expect(stderr).toBe("");
      const found = JSON.parse(stdout) as number[];
      expect(found).toHaveLength(3);
      expect(Math.max(...found)).toBeLessThan(2e-6);
    },
  );
