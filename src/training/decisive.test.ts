import { expect, test } from "vitest";
import { recipeSchema } from "../schema/index.ts";
import { decisiveFields } from "./decisive.ts";

const of = (given: object) => decisiveFields(recipeSchema.shape.sft.parse(given));

test("what decides the weights of a training", () => {
  const whole = of({ held_out_share: 0.1 });
  const aside = {
    keep_last: 3,
    keep_best: 2,
    checkpoint_every_steps: 7,
    max_skipped_steps: 9,
    evaluate_every_steps: 5,
  };
  const bounds = { micro_batch_tokens: "auto", activation_checkpointing: "layer", precision: "bf16" };
  expect(of({ held_out_share: 0.1, ...aside, ...bounds, evaluation_samples: 4 })).toEqual(whole);
  for (const given of [{}, { held_out_share: 0.2 }, { held_out_share: 0.1, learning_rate: 1e-6 }])
    expect(of(given)).not.toEqual(whole);
  const stopping = { held_out_share: 0.1, early_stopping: {} };
  expect(of(stopping)).not.toEqual(whole);
  expect(of({ ...stopping, evaluate_every_steps: 5 })).not.toEqual(of(stopping));
});

test("a folder tuned before recipes could go without a tuning is not tuned again", () => {
  const { enabled, ...fields } = recipeSchema.shape.sft.parse({});
  expect(enabled).toBe(true);
  expect(decisiveFields({ enabled, ...fields })).toEqual(decisiveFields(fields));
});
