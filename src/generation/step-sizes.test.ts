import { describe, expect, test } from "vitest";
import { decoderIn, tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { Engine } from "./engine.ts";
import { randomStream } from "./random-stream.ts";
import { filledRows, fillingOf } from "./step-sizes.ts";

describe("sizes of steps", () => {
  const sizes = Array.from({ length: 4608 }, (_, k) => filledRows(k + 1));

  test("are few", () => {
    expect(new Set(sizes).size).toBeLessThanOrEqual(50);
    for (const size of sizes) expect(filledRows(size)).toBe(size);
  });

  test("are no smaller than what there is, and hardly larger: by less than 16 rows, or a quarter", () => {
    for (const [k, size] of sizes.entries()) {
      expect(size).toBeGreaterThanOrEqual(k + 1);
      expect(size - (k + 1)).toBeLessThan(Math.max(16, (k + 1) / 4));
    }
    expect(filledRows(1)).toBe(1);
  });

  test("are filled up in bfloat16 on the processor alone", () => {
    expect(fillingOf({ dtype: "bfloat16", device: "cpu" }, 33)).toBe(15);
    expect(fillingOf({ dtype: "float32", device: "cpu" }, 33)).toBe(0);
    expect(fillingOf({ dtype: "bfloat16", device: "cuda:0" }, 33)).toBe(0);
  });
});

test.each(["llama", "gemma2"] as const)(
  "steps that are filled up give transformers' log-probs, of %s",
  async (family) => {
    const { decoder } = await tinyModel(family);
    const engine = new Engine(decoderIn(decoder, "bfloat16"), { cacheBytes: 2 ** 22 });
    const texts = tinyFigures(family).bundles.flatMap(({ prompt, responses }) =>
      responses.map(({ ids, logps }) => ({ prompt: [...prompt, ...ids], logps })),
    );
    const wrong: number[] = [];
    await Promise.all(
      texts.map(async ({ prompt, logps }, k) => {
        const request = { prompt, streams: [randomStream(k)], maxTokens: 5, endIds: new Set<number>() };
        const sampler = { temperature: 1, topP: 1, topK: 0 };
        for await (const event of engine.submit({ ...request, sampler, topLogProbs: 0, promptLogProbs: true }))
          if (event.kind === "prompt")
            for (const [at, one] of event.logProbs.slice(-logps.length).entries())
              wrong.push(Math.abs(one!.logProb - logps[at]!));
      }),
    );
    await engine.close();
    expect(wrong.length).toBeGreaterThan(20);
    expect(Math.max(...wrong)).toBeLessThan(0.1);
    expect(wrong.reduce((sum, one) => sum + one, 0) / wrong.length).toBeLessThan(0.02);
  },
);
