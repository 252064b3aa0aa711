import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createAdapters, type LoadedModel } from "../models/index.ts";
import { decoderIn, tinyModel } from "../models/testing/tiny-model.ts";
import { adapterTensors, openSafetensors } from "../nn/index.ts";
import { fromRecipe } from "../objectives/testing/evaluate.ts";
import { loraSchema, type OptimisationRecipe } from "../schema/index.ts";
import { toNumbers } from "../torch/index.ts";
import type { StepMetrics } from "./metrics.ts";
import { preferenceTask } from "./preference.ts";
import type { ReferencedRow } from "./response-table.ts";
import { figures } from "./testing/figures.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import { tinyOptions, tinyTraining, weightsOf } from "./testing/tiny-training.ts";
import { train } from "./train.ts";

const objectives = { wrpo: fromRecipe({ objective: "wrpo", beta: 0.1 }), aot: fromRecipe({ objective: "aot" }) };
const pairOf = (row: ReferencedRow): ReferencedRow => ({
  ...row,
  responses: row.responses.slice(1),
  reference: row.reference.slice(1),
});
const temporary = () => mkdtempSync(join(tmpdir(), "amalgam-train-"));

describe("adapters", () => {
  const adaptedTiny = async (recipe: OptimisationRecipe, seed = 9) => {
    const model = await tinyModel("llama");
    const { lora } = recipe;
    const adapters = createAdapters(model.decoder, lora!.target_modules, lora!, seed);
    return { ...model, decoder: { ...model.decoder, adapters } };
  };
  const trainedOf = ({ decoder }: LoadedModel) =>
    new Map([...adapterTensors(decoder.adapters!)].map(([name, weight]) => [name, toNumbers(weight)]));

  test.each([{}, { rslora: true }, { dora: true, target_modules: ["q_proj", "mlp.up_proj"] }])(
    "%j: are trained alone, in small checkpoints; the base may be rounded",
    async (lora) => {
      const recipe = tinyRecipe({ lora: loraSchema.parse({ rank: 4, ...lora }), epochs: 4 });
      const start = await adaptedTiny(recipe);
      const before = weightsOf(start);
      const checkpoints = join(temporary(), "checkpoints");
      const { weights, steps } = await tinyTraining({ ...tinyOptions(), recipe, checkpoints }, start);
      expect(weights).toEqual(before);
      expect(steps.at(-1)!["rewards/margins"]!).toBeGreaterThan(steps[0]!["rewards/margins"]! + 0.5);
      const want = trainedOf(start);
      const control = new AbortController();
      const cut = () => adaptedTiny(recipe);
      const onStep = ({ step }: StepMetrics) => void (step === 4 && control.abort());
      await tinyTraining({ ...tinyOptions(), recipe, checkpoints, signal: control.signal, onStep }, await cut());
      const saved = openSafetensors(join(checkpoints, "step-00000004", "weights.safetensors")).tensors;
      expect([...saved.keys()].sort()).toEqual([...want.keys()].sort());
      const rest = await cut();
      expect((await tinyTraining({ ...tinyOptions(), recipe, checkpoints }, rest)).steps[0]!.step).toBe(5);
      expect(trainedOf(rest)).toEqual(want);
      const rounded = await cut();
      const small = {
        ...rounded,
        decoder: { ...decoderIn(rounded.decoder, "bfloat16"), adapters: rounded.decoder.adapters },
      };
      const inBf16 = await tinyTraining({ ...tinyOptions(), recipe, dtype: "bfloat16" }, small);
      expect(inBf16.steps.at(-1)!.loss! / steps.at(-1)!.loss!).toBeCloseTo(1, 0);
    },
  );

  test("with dropout go on from a checkpoint to the same", async () => {
    const recipe = (micro_batch_tokens = 90) =>
      tinyRecipe({ micro_batch_tokens, lora: loraSchema.parse({ dropout: 0.4 }) });
    const one = await adaptedTiny(recipe());
    const whole = await tinyTraining({ ...tinyOptions(), recipe: recipe() }, one);
    const dry = tinyRecipe({ micro_batch_tokens: 90, lora: loraSchema.parse({}) });
    expect((await tinyTraining({ ...tinyOptions(), recipe: dry }, await adaptedTiny(dry))).steps.at(-1)!.loss).not.toBe(
      whole.steps.at(-1)!.loss,
    );
    const checkpoints = join(temporary(), "checkpoints");
    const control = new AbortController();
    const onStep = ({ step }: StepMetrics) => void (step === 2 && control.abort());
    const cut = { ...tinyOptions(), checkpoints, signal: control.signal, onStep };
    await tinyTraining({ ...cut, recipe: recipe() }, await adaptedTiny(recipe()));
    const rest = await adaptedTiny(recipe());
    const tail = await tinyTraining({ ...tinyOptions(), recipe: recipe(), checkpoints }, rest);
    expect(tail.steps.map(figures)).toEqual(whole.steps.slice(2).map(figures));
    expect(trainedOf(rest)).toEqual(trainedOf(one));
  });

  test.each([
    ["a loss of rows", objectives.wrpo, false, "none"],
    ["a coupled loss", objectives.aot, false, "none"],
    ["DoRA, layers computed again", objectives.wrpo, true, "layer"],
  ] as const)(
    "with dropout: micro-batches change nothing, by %s",
    async (_, objective, dora, activation_checkpointing) => {
      const trainedBy = async (micro_batch_tokens: number) => {
        const lora = loraSchema.parse({ dropout: 0.4, dora });
        const recipe = tinyRecipe({ activation_checkpointing, micro_batch_tokens, lora, adam_epsilon: 1e-4 });
        const { decoder } = await adaptedTiny(recipe);
        const steps: StepMetrics[] = [];
        const rows = tinyRows(7).map((row) => (objective === objectives.aot ? pairOf(row) : row));
        await train(decoder, preferenceTask(rows, objective), {
          ...{ recipe, seed: 3, dtype: "float32", inputs: "tiny" },
          onStep: (step) => steps.push(step),
        });
        return { weights: [...adapterTensors(decoder.adapters!).values()].map(toNumbers), steps };
      };
      const [want, got] = [await trainedBy(4096), await trainedBy(50)];
      for (const [k, weight] of got.weights.entries())
        for (const [i, value] of weight.entries()) expect(Math.abs(value - want.weights[k]![i]!)).toBeLessThan(2e-5);
      expect(got.steps.map(({ loss }) => loss!.toFixed(4))).toEqual(want.steps.map(({ loss }) => loss!.toFixed(4)));
    },
  );

  test("a recipe with them for a model without is refused, and the other way round", async () => {
    const recipe = tinyRecipe({ lora: loraSchema.parse({}) });
    await expect(tinyTraining({ ...tinyOptions(), recipe })).rejects.toThrow(/the model has none/);
    await expect(tinyTraining(tinyOptions(), await adaptedTiny(recipe))).rejects.toThrow(/no lora/);
  });
});
