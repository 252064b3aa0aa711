import { describe, expect, test } from "vitest";
import type { Decoder, DecoderConfig } from "../models/index.ts";
import { parameterShapes } from "../models/index.ts";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { wrpo } from "../objectives/index.ts";
import type { OptimisationRecipe } from "../schema/index.ts";
import { bundleTokens } from "../scoring/index.ts";
import { type DType, manualSeed, noGrad, ops, scope, tensorMemory, trimMemory } from "../torch/index.ts";
import { autoMicroBatchTokens, bytesPerToken, type MemoryQuestion, trainingMemory } from "./memory-need.ts";
import { preferenceTask } from "./preference.ts";
import { tinyRecipe } from "./testing/tiny-rows.ts";
import { train } from "./train.ts";

/** A random model of 5 million weights. */
async function smallModel(): Promise<Decoder> {
  const { config: tiny } = (await tinyModel("llama")).decoder;
  const sizes = { hiddenSize: 256, intermediateSize: 704, heads: 4, keyValueHeads: 2, headDim: 64, rotaryDim: 64 };
  const more = { vocabularySize: 4096, attentionScale: 1 / 8, maxPositions: 8192 };
  const config: DecoderConfig = {
    ...tiny,
    ...sizes,
    ...more,
    layers: Array.from({ length: 4 }, () => tiny.layers[0]!),
  };
  manualSeed(7);
  const random = (shape: number[]) => noGrad(() => scope(() => ops.randn(shape).mul(0.02)));
  return { config, parameters: new Map([...parameterShapes(config)].map(([name, shape]) => [name, random(shape)])) };
}

/** A row of a prompt and three responses, of so many tokens in all. */
function rowOf(tokens: number, id: number) {
  const answer = Math.floor(tokens / 8);
  const ids = (count: number) => Array.from({ length: count }, (_, k) => 5 + ((k * k + 3 * id) % 4000));
  const responses = [ids(answer), ids(answer), ids(answer)];
  return { id: `row-${id}`, prompt: ids(tokens - 3 * answer), responses, reference: [-1000, -900, -950] };
}

type Checkpointing = OptimisationRecipe["activation_checkpointing"];
const compute = { float32: "fp32", bfloat16: "bf16" } as const;
type Type = keyof typeof compute & DType;

/** Bytes of tensors at the most, beside the weights, in a step of WRPO on a row of so many tokens. */
async function peakOf(tokens: number, dtype: Type, activation_checkpointing: Checkpointing = "none"): Promise<number> {
  const model = await smallModel();
  const rows = [rowOf(tokens, 0)];
  expect(rows.map(bundleTokens)).toEqual([tokens]);
  trimMemory();
  const before = tensorMemory().used;
  const recipe = tinyRecipe({
    epochs: 1,
    batch_size: 1,
    micro_batch_tokens: tokens,
    activation_checkpointing,
  });
  const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "linear", labelSmoothing: 0 });
  await train(model, preferenceTask(rows, objective), { recipe, seed: 1, order: "given", dtype, inputs: "small" });
  const { peak } = tensorMemory();
  for (const weight of model.parameters.values()) weight.dispose();
  return peak - before;
}

const question = async (
  dtype: Type,
  activation_checkpointing: Checkpointing = "none",
  micro_batch_tokens = 4096,
): Promise<MemoryQuestion> => ({
  config: (await smallModel()).config,
  compute: compute[dtype],
  recipe: tinyRecipe({ activation_checkpointing, micro_batch_tokens }),
});

test.each(["none", "layer"] as const)(
  "rows of 2,048, 4,096 and 8,192 tokens (activation checkpointing: %s): memory grows with the tokens, not with their square",
  async (checkpointing) => {
    const [two, four, eight] = [
      await peakOf(2048, "float32", checkpointing),
      await peakOf(4096, "float32", checkpointing),
      await peakOf(8192, "float32", checkpointing),
    ];
    const growth = (eight - four) / (four - two);
    // Twice the tokens more: 2 where memory is linear, 4 where it is quadratic.
    expect(growth).toBeGreaterThan(1.5);
    expect(growth).toBeLessThan(2.2);
    // One matrix of scores of one layer would be larger than all of it.
    const { config } = await question("float32");
    expect(eight - two).toBeLessThan(8192 * 8192 * config.heads * 4);
  },
);

describe("the estimate", () => {
  test.each([
    ["float32", "none"],
    ["float32", "selective"],
    ["float32", "layer"],
    ["bfloat16", "none"],
    ["bfloat16", "selective"],
    ["bfloat16", "layer"],
  ] as const)(
    "of %s, activation checkpointing %s: never less than what is taken, and less than twice that a token",
    async (dtype, checkpointing) => {
      const asked = await question(dtype, checkpointing, 3072);
      const [small, large] = [await peakOf(1024, dtype, checkpointing), await peakOf(3072, dtype, checkpointing)];
      // Logits that are kept grow with the tokens, too; the estimate has their most from the beginning.
      const logits = 0.375 * asked.config.vocabularySize * (dtype === "float32" ? 4 : 2);
      const each = (large - small) / 2048 - logits;
      expect(bytesPerToken(asked) / each).toBeGreaterThan(0.95);
      expect(bytesPerToken(asked) / each).toBeLessThan(2);
      expect(trainingMemory(asked)).toBeGreaterThan(large);
    },
  );

  test("auto: what it comes to fits into the memory that it was told of", async () => {
    const asked = { ...(await question("float32")), device: "cpu", longest: 1000 };
    const free = 1.3e9;
    const { tokens, reason } = autoMicroBatchTokens(asked, free);
    expect(tokens).toBeGreaterThan(1024);
    expect(tokens % 256).toBe(0);
    expect(reason).toMatch(/^0\.0\d MB a token and 0\.\d GB besides; 1\.3 GB of memory are free$/);
    expect(await peakOf(tokens, "float32")).toBeLessThan(free);
  });

  test("auto: between 256 and 8,192, more with checkpointing, a warning and an error where a row is too long", async () => {
    const asked = { ...(await question("float32")), device: "cpu", longest: 1000 };
    expect(autoMicroBatchTokens(asked, 1e12).tokens).toBe(8192);
    const [plain, saving] = (["none", "layer"] as const).map((activation_checkpointing) => {
      const recipe = tinyRecipe({ activation_checkpointing });
      return autoMicroBatchTokens({ ...asked, recipe }, 1.1e9).tokens;
    });
    expect(saving).toBeGreaterThan(plain!);
    const tight = autoMicroBatchTokens({ ...asked, longest: 8000 }, 1.1e9);
    expect(tight.reason).toMatch(/scarce for the longest row, of 8000 tokens$/);
    const tooLong = () => autoMicroBatchTokens({ ...asked, longest: 100_000 }, 1.1e9);
    expect(tooLong).toThrow(/a row of 100000 tokens takes about [\d.]+ GB of memory to train on, and 1\.1 GB are free/);
  });
});
