import { describe, expect, test } from "vitest";
import { dataTrainingSettings } from "./data-training.ts";
import { catchError } from "./testing/recipes.ts";

describe("settings", () => {
  test.each([
    ["dpoo", [], 'there is no objective "dpoo"'],
    ["dpo", ["learning_rat=1"], "unknown field"],
    ["dpo", ["alpha=0.1"], "dpo has no such setting; it has beta"],
    ["sft", ["beta=0.1"], "unknown field"],
    ["dpo", ["max_prompt_length=4000"], "leaves no room for a response"],
    ["dpo", ["objective=wrpo"], "named by --objective"],
  ])("%s with %j are refused", (objective, given, message) => {
    expect(() => dataTrainingSettings(objective, given)).toThrow(message);
  });

  test("have the defaults of the recipe's stages", () => {
    expect(dataTrainingSettings("sft")).toMatchObject({ learning_rate: 7e-6, max_length: 2048 });
    expect(dataTrainingSettings("wrpo")).toMatchObject({ learning_rate: 3e-7, beta: 0.01, alpha: 0.1, seed: 42 });
  });

  test("that are misspelt, outer ones too, are named by field and by what was typed, with the nearest field", () => {
    const error = (override: string) => catchError(() => dataTrainingSettings("dpo", [override]));
    expect(error("optimiserr=sgd")).toMatchObject({
      place: { field: "optimiserr" },
      message: "unknown field",
      hint: expect.stringMatching(/^Did you mean optimiser\?.* Given by --set optimiserr=sgd\.$/),
    });
    expect(error("lorra.rank=8")).toMatchObject({
      place: { field: "lorra" },
      message: "unknown field",
      hint: expect.stringMatching(/^Did you mean lora\?.* Given by --set lorra\.rank=8\.$/),
    });
    expect(error("lora.rnk=8")).toMatchObject({
      place: { field: "lora.rnk" },
      hint: expect.stringMatching(/^Did you mean rank\?.* Given by --set lora\.rnk=8\.$/),
    });
    expect(error("optimiser.name=sgd")).toMatchObject({
      place: { field: "optimiser" },
      hint: expect.stringMatching(/ Given by --set optimiser\.name=sgd\.$/),
    });
  });
});
