import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { disposeModel, loadFiles, readModelFiles } from "../models/index.ts";
import { testModel } from "../models/testing/test-model.ts";
import { noGrad, scope, toNumbers } from "../torch/index.ts";
import { packBundles } from "./bundle.ts";
import { batchLogProbs } from "./score.ts";

interface Row {
  readonly prompt: number[];
  readonly responses: readonly { readonly ids: number[]; readonly logp: number }[];
}
const read = (url: string): unknown => JSON.parse(readFileSync(new URL(url, import.meta.url), "utf8"));
// Made by bench/fixtures/models_truth.py.
const figures = read("./fixtures/real-logps.json") as Record<"smollm2" | "qwen" | "gemma", Row[]>;
// Ids and log-probs of the quadruples that the authors' trainer was run on.
const golden = read("./fixtures/golden-logps.json") as Row[];

test.each(["smollm2", "qwen", "gemma"] as const)(
  "%s gives the log-probs of transformers",
  { timeout: 600_000 },
  async (name) => {
    const files = await readModelFiles(await testModel(name), name);
    const model = loadFiles(files, { precision: "fp32", device: "cpu" });
    const deviations = (rows: readonly Row[]) => {
      const bundles = rows.map(({ prompt, responses }) => ({ prompt, responses: responses.map(({ ids }) => ids) }));
      const got = noGrad(() => scope(() => toNumbers(batchLogProbs(model.decoder, packBundles(bundles)))));
      const want = rows.flatMap(({ responses }) => responses.map(({ logp }) => logp));
      expect(got).toHaveLength(want.length);
      return got.map((value, k) => Math.abs(value - want[k]!));
    };
    try {
      expect(Math.max(...deviations(figures[name]))).toBeLessThan(1e-3);
      if (name === "smollm2") expect(Math.max(...deviations(golden))).toBeLessThan(1e-2);
    } finally {
      disposeModel(model);
    }
  },
);
