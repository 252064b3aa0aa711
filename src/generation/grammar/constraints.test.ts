import { describe, expect, test } from "vitest";
import { tinyModel } from "../../models/testing/tiny-model.ts";
import { Engine } from "../engine.ts";
import { randomStream } from "../random-stream.ts";
import { constraintsOf, type OutputForm } from "./index.ts";

describe("a model's responses", () => {
  const texts = async (
    form: OutputForm,
    count: number,
    maxTokens = 200,
  ): Promise<{ text: string; finish: string }[]> => {
    const { decoder, tokenizer } = await tinyModel("llama");
    const engine = new Engine(decoder);
    const endIds = new Set(tokenizer.stopIds);
    const ids: number[][] = Array.from({ length: count }, () => []);
    const finishes: string[] = [];
    const constraint = constraintsOf(form, tokenizer, decoder.config.vocabularySize, endIds);
    for await (const event of engine.submit({
      prompt: [5, 6, 7],
      streams: Array.from({ length: count }, (_, k) => randomStream("form", JSON.stringify(form), k)),
      sampler: { temperature: 1, topP: 1, topK: 0 },
      maxTokens,
      endIds,
      constraint,
    })) {
      if (event.kind === "token") ids[event.response]!.push(event.id);
      if (event.kind === "end") finishes[event.response] = event.finish;
    }
    await engine.close();
    return ids.map((each, k) => ({ text: tokenizer.decode(each, { skipSpecial: true }), finish: finishes[k]! }));
  };

  test("of a random model match the pattern whole", async () => {
    const made = await texts({ regex: "(yes|no|perhaps), because [a-z]{3,9}( [é-ü]{1,3})?\\." }, 20);
    for (const { text, finish } of made) {
      expect(text).toMatch(/^(yes|no|perhaps), because [a-z]{3,9}( [é-ü]{1,3})?\.$/);
      expect(finish).toBe("stop");
    }
    expect(new Set(made.map(({ text }) => text)).size).toBeGreaterThan(15);
  });

  test("of a random model are JSON of the schema", async () => {
    const form = {
      jsonSchema: {
        type: "object",
        properties: {
          rating: { enum: [1, 2, 3, 4, 5] },
          why: { type: "string", maxLength: 12 },
          sure: { type: "boolean" },
        },
        required: ["rating", "why", "sure"],
      },
    };
    for (const { text, finish } of await texts(form, 20, 240)) {
      if (finish === "length") continue;
      const value = JSON.parse(text) as { rating: number; why: string; sure: boolean };
      expect(Object.keys(value)).toEqual(["rating", "why", "sure"]);
      expect(value.rating).toBeGreaterThanOrEqual(1);
      expect(value.rating).toBeLessThanOrEqual(5);
      expect([...value.why].length).toBeLessThanOrEqual(12);
      expect(typeof value.sure).toBe("boolean");
    }
  });
});
