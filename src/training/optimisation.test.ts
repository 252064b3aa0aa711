import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decoderIn, tinyModel } from "../models/testing/tiny-model.ts";
import { openSafetensors } from "../nn/index.ts";
import { TrainingError } from "../schema/index.ts";
import { type Tensor, tensor } from "../torch/index.ts";
import { tinyRecipe } from "./testing/tiny-rows.ts";
import { type Trained, tinyOptions, tinyTraining, weightsOf } from "./testing/tiny-training.ts";

const temporary = () => mkdtempSync(join(tmpdir(), "amalgam-train-"));

test.each(["adafactor", "lion", "sgd"] as const)("%s goes on to the same weights, bit for bit", async (optimiser) => {
  const set = { ...tinyOptions(), recipe: tinyRecipe({ optimiser, learning_rate: 1e-3 }) };
  const want = await tinyTraining(set);
  expect(want.steps.at(-1)!.loss).toBeLessThan(want.steps[0]!.loss!);
  const checkpoints = join(temporary(), "checkpoints");
  const control = new AbortController();
  await tinyTraining({
    ...set,
    checkpoints,
    signal: control.signal,
    onStep: ({ step }) => void (step === 2 && control.abort()),
  });
  const rest = await tinyTraining({ ...set, checkpoints });
  expect(rest.steps).toHaveLength(3);
  expect(rest.weights).toEqual(want.weights);
});

test("wsd rises by warmup_steps, holds, and falls over the last share of the steps", async () => {
  const recipe = tinyRecipe({ epochs: 4, warmup_steps: 3, schedule: "wsd", decay_ratio: 0.4, decay_shape: "linear" });
  const { steps } = await tinyTraining({ ...tinyOptions(), recipe });
  const factors = steps.map(({ learning_rate }) => Number((learning_rate! / 1e-2).toFixed(6)));
  expect(factors).toEqual([0, 0.333333, 0.666667, 1, 1, 1, 1, 0.75, 0.5, 0.25]);
  const all = { ...tinyOptions(), recipe: tinyRecipe({ warmup_steps: 5 }) };
  await expect(tinyTraining(all)).rejects.toThrow(/warmup_steps \(5\) takes all 5 steps/);
});

describe("weights that the recipe treats differently", () => {
  const initial = async () => weightsOf(await tinyModel("llama"));

  test("frozen ones stay, without gradient and state; the others move as they would with a mask", async () => {
    const before = await initial();
    const checkpoints = join(temporary(), "checkpoints");
    const recipe = tinyRecipe({ frozen: ["embed_tokens", "lm_head", "layers.0.mlp", "*norm"] });
    const { weights } = await tinyTraining({ ...tinyOptions(), recipe, checkpoints, onStep: () => {} });
    const stays = (name: string) => /embed_tokens|lm_head|layers\.0\.mlp|norm/.test(name);
    for (const [name, values] of weights) {
      if (stays(name)) expect(values, name).toEqual(before.get(name));
      else expect(values, name).not.toEqual(before.get(name));
    }
    const control = new AbortController();
    await tinyTraining({
      ...tinyOptions(),
      recipe,
      checkpoints,
      signal: control.signal,
      onStep: () => control.abort(),
    });
    const saved = join(checkpoints, "step-00000001");
    const names = [...openSafetensors(join(saved, "weights.safetensors")).tensors.keys()];
    expect(names.sort()).toEqual([...before.keys()].filter((name) => !stays(name)).sort());
    expect(openSafetensors(join(saved, "optimiser.safetensors")).tensors.size).toBe(3 * names.length);
    expect((await tinyTraining({ ...tinyOptions(), recipe, checkpoints })).weights).toEqual(weights);
  });

  test("frozen ones may have another type than float32, and gradients of the others don't change", async () => {
    // One step without momentum: the change is the gradient.
    const plain = { optimiser: "sgd", momentum: 0, weight_decay: 0, warmup_steps: 0, epochs: 3 / 7 } as const;
    const [all, some] = [
      await tinyTraining({ ...tinyOptions(), recipe: tinyRecipe(plain) }),
      await tinyTraining({
        ...tinyOptions(),
        recipe: tinyRecipe({ ...plain, frozen: ["embed_tokens", "lm_head", "layers.1"] }),
      }),
    ];
    expect(all.steps).toHaveLength(1);
    // Clipping looks at all gradients; what is left has one direction.
    const name = "model.layers.0.self_attn.q_proj.weight";
    const before = (await initial()).get(name)!;
    const change = ({ weights }: Trained) => tensor(weights.get(name)!.map((value, k) => value - before[k]!));
    const [a, b] = [change(all), change(some)];
    const cosine = a.mul(b).sum().div(a.norm().mul(b.norm())).item();
    expect(cosine).toBeGreaterThan(1 - 1e-5);
    const start = await tinyModel("llama");
    const rounded = { ...start, decoder: decoderIn(start.decoder, "bfloat16") };
    for (const weight of ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"])
      (rounded.decoder.parameters as Map<string, Tensor>).set(weight, start.decoder.parameters.get(weight)!);
    const frozen = [
      "embed_tokens",
      "layers.0",
      "layers.1.self_attn",
      "*layernorm",
      "gate_proj",
      "down_proj",
      "lm_head",
    ];
    const given = { ...tinyOptions(), recipe: tinyRecipe({ frozen }), dtype: "bfloat16" as const };
    expect((await tinyTraining(given, rounded)).finished).toBe(true);
  });

  test("a learning rate that falls with the depth", async () => {
    const plain = { optimiser: "sgd", momentum: 0, weight_decay: 0, warmup_steps: 0, epochs: 3 / 7 } as const;
    const before = await initial();
    const flat = await tinyTraining({ ...tinyOptions(), recipe: tinyRecipe(plain) });
    const steep = await tinyTraining({
      ...tinyOptions(),
      recipe: tinyRecipe({ ...plain, layer_learning_rate_decay: 0.5 }),
    });
    const change = ({ weights }: Trained, name: string) =>
      Math.hypot(...weights.get(name)!.map((value, k) => value - before.get(name)![k]!));
    for (const [name, factor] of [
      ["lm_head.weight", 1],
      ["model.norm.weight", 1],
      ["model.layers.1.mlp.up_proj.weight", 1 / 2],
      ["model.layers.0.self_attn.o_proj.weight", 1 / 4],
      ["model.embed_tokens.weight", 1 / 8],
    ] as const)
      expect(change(steep, name) / change(flat, name), name).toBeCloseTo(factor, 2);
  });

  test("an average of the weights is what is left at the end, also after an interruption", async () => {
    const recipe = tinyRecipe({ ema_decay: 0.6 });
    const seen: Map<string, number[]>[] = [];
    const start = await tinyModel("llama");
    const look = () => void seen.push(weightsOf(start));
    const before = await initial();
    const { weights } = await tinyTraining({ ...tinyOptions(), recipe, onStep: look }, start);
    const name = "model.layers.0.mlp.up_proj.weight";
    const average = before
      .get(name)!
      .map((value, k) => seen.reduce((sum, step) => 0.6 * sum + 0.4 * step.get(name)![k]!, value));
    for (const [k, value] of weights.get(name)!.entries()) expect(value).toBeCloseTo(average[k]!, 6);
    const checkpoints = join(temporary(), "checkpoints");
    const control = new AbortController();
    await tinyTraining({
      ...tinyOptions(),
      recipe,
      checkpoints,
      signal: control.signal,
      onStep: () => control.abort(),
    });
    expect((await tinyTraining({ ...tinyOptions(), recipe, checkpoints })).weights).toEqual(weights);
  });

  test.each([
    [{ frozen: ["embed_token"] }, /^embed_token matches no weight/, "frozen.0"],
    [{ frozen: ["model", "lm_head"] }, /every weight is frozen/, "frozen"],
    [
      { frozen: ["mlp"], weight_decay_rules: [{ match: "gate_proj", weight_decay: 0 }] },
      /^gate_proj matches no weight/,
      "weight_decay_rules.0.match",
    ],
  ])("%j is refused", async (change, message, field) => {
    const error = await tinyTraining({ ...tinyOptions(), recipe: tinyRecipe(change) }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(TrainingError);
    expect((error as TrainingError).message).toMatch(message);
    expect((error as TrainingError).place.field).toBe(field);
    if (field === "frozen.0")
      expect((error as TrainingError).hint).toMatch(/model\.layers\.\*\.self_attn\.q_proj\.weight/);
  });
});
