import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { disposeModel, loadFiles, readModelFiles } from "../models/index.ts";
import { testModel } from "../models/testing/test-model.ts";
import { generate } from "./generate.ts";
import { randomStream } from "./random-stream.ts";

interface Continuation {
  readonly prompt: number[];
  /** 64 tokens, the last of them EOS where it came before. */
  readonly ids: number[];
  /** At each step, by how much the best logit exceeds the second. */
  readonly gaps: number[];
}
// Made by bench/fixtures/models_truth.py.
const figures = JSON.parse(readFileSync(new URL("./fixtures/greedy.json", import.meta.url), "utf8")) as Record<
  "smollm2" | "qwen" | "gemma",
  Continuation[]
>;

test.each(["smollm2", "qwen", "gemma"] as const)(
  "%s continues as transformers does, 64 tokens greedily",
  { timeout: 600_000 },
  async (name) => {
    const files = await readModelFiles(await testModel(name), name);
    const model = loadFiles(files, { precision: "fp32", device: "cpu" });
    const wanted = figures[name];
    const eos = model.tokenizer.eosId!;
    const got: number[][] = [];
    const requests = wanted.map(({ prompt }, k) => ({
      prompt,
      maxTokens: 64,
      streams: [randomStream(k)],
      sampler: { temperature: 0, topP: 1, topK: 0 },
      endIds: new Set([eos]),
    }));
    for await (const { request, ids } of generate(model.decoder, requests)) got[request] = [...ids];
    disposeModel(model);
    const differing = wanted.flatMap(({ ids, gaps }, k) => {
      const want = ids.at(-1) === eos ? ids.slice(0, -1) : ids;
      const at = want.findIndex((id, step) => got[k]![step] !== id);
      if (at < 0 && got[k]!.length === want.length) return [];
      return [{ prompt: k, step: at, gap: gaps[at] ?? Number.POSITIVE_INFINITY }];
    });
    if (differing.length > 0) console.log(`${name} differs from transformers:`, differing);
    expect(differing.length).toBeLessThanOrEqual(1);
    // Where they part, the two best logits are equal but for rounding.
    for (const { gap } of differing) expect(gap).toBeLessThan(1e-3);
  },
);
