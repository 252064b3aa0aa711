import { describe, expect, test } from "vitest";
import { type LoadedModel, loadFiles, readModelFiles } from "../models/index.ts";
import { tinyFolder, tinyModel } from "../models/testing/tiny-model.ts";
import type { SampledResponse, SampleOutcome, SampleRequest, Sampling, Source } from "../schema/index.ts";
import { liveTensors, noGrad, scope } from "../torch/index.ts";
import { embeddedSource } from "./source.ts";

const sampling: Sampling = { temperature: 1, top_p: 1, top_k: 0, max_tokens: 40, stop: [], seed: 9 };
const never = new AbortController().signal;
const ask = (promptId: string, content: string, indices: readonly number[]): SampleRequest => ({
  promptId,
  messages: [{ role: "user", content }],
  indices,
});

async function sample(source: Source, requests: readonly SampleRequest[], change: Partial<Sampling> = {}) {
  const made: SampleOutcome[] = [];
  for await (const one of source.sample(requests, { ...sampling, ...change }, never)) made.push(one);
  return made.sort((a, b) => (a.promptId < b.promptId ? -1 : a.promptId > b.promptId ? 1 : a.index - b.index));
}

const responses = (outcomes: readonly SampleOutcome[]): SampledResponse[] =>
  outcomes.map((outcome) => {
    if ("failure" in outcome) throw new Error(outcome.failure);
    return outcome;
  });

test("answers are the same whatever else is asked for, and those of an index are its own", async () => {
  const source = embeddedSource("tiny", await tinyModel("llama"));
  const together = await sample(source, [ask("a", "Hello", [0, 1, 2]), ask("b", "Bye, and thanks", [0, 1])]);
  expect(together.map(({ promptId, index }) => `${promptId}${index}`)).toEqual(["a0", "a1", "a2", "b0", "b1"]);
  expect(await sample(source, [ask("a", "Hello", [1])])).toEqual([together[1]]);
  expect(await sample(source, [ask("b", "Bye, and thanks", [1, 0])])).toEqual(together.slice(3));
  expect(new Set(responses(together).map(({ text }) => text)).size).toBe(5);
  const others = [
    await sample(source, [ask("a", "Hello", [0, 1, 2])], { seed: 10 }),
    await sample(embeddedSource("other", await tinyModel("llama")), [ask("a", "Hello", [0, 1, 2])]),
  ];
  for (const other of others) expect(other).not.toEqual(together.slice(0, 3));
});

test("tokens are counted, the end is not among them, and the finish is told", async () => {
  const model = await tinyModel("qwen2");
  const source = embeddedSource("tiny", model);
  const outcomes = responses(await sample(source, [ask("a", "Hello", [...Array(40).keys()])], { max_tokens: 60 }));
  const promptTokens = model.tokenizer.encodePrompt([{ role: "user", content: "Hello" }]).length;
  expect(new Set(outcomes.map(({ finish }) => finish))).toEqual(new Set(["stop", "length"]));
  for (const outcome of outcomes) {
    expect(outcome.promptTokens).toBe(promptTokens);
    expect(outcome.responseTokens).toBeLessThanOrEqual(60);
    if (outcome.finish === "length") expect(outcome.responseTokens).toBe(60);
  }
});

describe("stop strings", () => {
  const request = [ask("a", "Hello", [0, 1, 2, 3, 4, 5])];

  test("end a response where they begin, also across the borders of tokens", async () => {
    const source = embeddedSource("tiny", await tinyModel("llama"));
    const free = responses(await sample(source, request));
    const long = free.filter(({ text }) => text.length > 9);
    expect(long.length).toBeGreaterThan(2);
    for (const { index: k, text, responseTokens } of long) {
      // Three characters from the middle: mostly parts of two or three tokens.
      const at = Math.floor(text.length / 2);
      const stop = text.slice(at, at + 3);
      const stopped = responses(
        await sample(source, [{ ...request[0]!, indices: [k] }], { stop: ["\u0000never", stop] }),
      )[0]!;
      expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
      expect(stopped.finish).toBe("stop");
      expect(stopped.responseTokens).toBeLessThan(responseTokens);
    }
  });

  test("that don't appear change nothing", async () => {
    const source = embeddedSource("tiny", await tinyModel("llama"));
    const free = await sample(source, request);
    expect(await sample(source, request, { stop: ["this is never sampled"] })).toEqual(free);
  });
});

test("penalties, biases and the least length of a recipe reach the sampler", async () => {
  const model = await tinyModel("llama");
  const source = embeddedSource("tiny", model);
  const request = [ask("a", "Hello", [0, 1, 2, 3])];
  const changes: Partial<Sampling>[] = [
    { min_p: 0.2 },
    { repetition_penalty: 2 },
    { presence_penalty: 2 },
    { frequency_penalty: -2 },
    { logit_bias: { 40: 100 } },
  ];
  const texts = [];
  for (const change of [{}, ...changes])
    texts.push(
      responses(await sample(source, request, change))
        .map(({ text }) => text)
        .join("|"),
    );
  expect(new Set(texts).size).toBe(texts.length);
  const long = responses(
    await sample(source, [ask("b", "Hi", [...Array(20).keys()])], { min_tokens: 30, stop: ["e"] }),
  );
  for (const { responseTokens } of long) expect(responseTokens).toBeGreaterThanOrEqual(30);
});

test("responses are held to a pattern or a schema of the recipe", async () => {
  const source = embeddedSource("tiny", await tinyModel("llama"));
  const request = [ask("a", "Hello", [0, 1, 2, 3])];
  for (const { text } of responses(await sample(source, request, { regex: "[0-9]{2}(th|nd)" })))
    expect(text).toMatch(/^[0-9]{2}(th|nd)$/);
  const json_schema = { type: "array", items: { type: "boolean" }, minItems: 2, maxItems: 3 };
  for (const { text } of responses(await sample(source, request, { json_schema })))
    for (const item of JSON.parse(text) as unknown[]) expect(typeof item).toBe("boolean");
  await expect(sample(source, request, { regex: "a(b" })).rejects.toThrow("has a group that isn't closed");
  await expect(sample(source, request, { regex: "a", json_schema })).rejects.toThrow("a regex and to a JSON schema");
});

test("a prompt that fills the context fails by name, and the others are answered within it", async () => {
  const source = embeddedSource("tiny", await tinyModel("llama"));
  const outcomes = await sample(source, [ask("long", "word ".repeat(200), [0, 1]), ask("short", "Hi", [0])], {
    max_tokens: 10_000,
    stop: [],
  });
  expect(outcomes.slice(0, 2)).toEqual(
    [0, 1].map((index) => ({
      promptId: "long",
      index,
      failure: expect.stringMatching(/^the prompt has \d+ tokens, the context of tiny-llama 256$/),
    })),
  );
  const short = responses(outcomes.slice(2))[0]!;
  expect(short.promptTokens + short.responseTokens).toBeLessThanOrEqual(256);
});

test("a prompt that the chat template refuses fails by name", async () => {
  const template =
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('none') }}{% endif %}{{ m.content }}{% endfor %}";
  const model = loadFiles(await readModelFiles(tinyFolder("llama"), "tiny", template), {
    precision: "fp32",
    device: "cpu",
  });
  const refused = { ...ask("refused", "Hi", [0]), messages: [{ role: "system" as const, content: "s" }] };
  const [failed, answered] = await sample(embeddedSource("tiny", model), [refused, ask("taken", "Hi", [0])]);
  expect(failed).toEqual({ promptId: "refused", index: 0, failure: "the chat template refuses these messages: none" });
  expect(responses([answered!])).toHaveLength(1);
});

test("what a model thinks is kept apart; without an end it is no answer; `keep` leaves it in the text", async () => {
  const request = [ask("a", "Hello", [0, 1])];
  const regex = "<think>\\n[a-c]{3}\\n</think>\\n\\n[x-z]{4}";
  const source = embeddedSource("tiny", await tinyModel("qwen2"));
  const apart = responses(await sample(source, request, { regex, max_tokens: 80 }));
  const kept = responses(
    await sample(embeddedSource("tiny", await tinyModel("qwen2"), "keep"), request, { regex, max_tokens: 80 }),
  );
  for (const [i, { text, extras, responseTokens }] of apart.entries()) {
    expect(text).toMatch(/^[x-z]{4}$/);
    expect(extras?.reasoning).toMatch(/^[a-c]{3}$/);
    expect(kept[i]!.text).toBe(`<think>\n${extras!.reasoning}\n</think>\n\n${text}`);
    expect(responseTokens).toBeLessThan(kept[i]!.responseTokens);
    expect(responseTokens).toBeLessThanOrEqual(6);
  }
  expect(await sample(source, request, { regex, max_tokens: 9 })).toMatchObject([
    { index: 0, failure: expect.stringMatching(/thoughts have no end: max_tokens ran out after 9 tokens/) },
    { index: 1 },
  ]);
});

test("a template that begins the thoughts itself: what has no end is thought, and no answer", async () => {
  const template = "{{ messages[-1].content }}<think>\n{{ '</think>' if not add_generation_prompt }}";
  const model = loadFiles(await readModelFiles(tinyFolder("llama"), "tiny", template), {
    precision: "fp32",
    device: "cpu",
  });
  const [thought] = await sample(embeddedSource("tiny", model), [ask("a", "Hi", [0])], { regex: "[a-c]{5}" });
  expect(thought).toMatchObject({ failure: "the model's thoughts have no end" });
  const [answered] = await sample(embeddedSource("tiny", model), [ask("a", "Hi", [0])], {
    regex: "[a-c]{5}</think>[x-z]{2}",
  });
  expect(answered).toMatchObject({
    text: expect.stringMatching(/^[x-z]{2}$/),
    extras: { reasoning: expect.stringMatching(/^[a-c]{5}$/) },
  });
  expect(embeddedSource("tiny", model, "keep").identity).not.toBe(embeddedSource("tiny", model).identity);
});

test("a source's identity is its model's, precision included", async () => {
  const folder = tinyFolder("qwen2");
  const load = async (precision: "fp32" | "bf16"): Promise<LoadedModel> =>
    loadFiles(await readModelFiles(folder, "tiny"), { precision, device: "cpu" });
  const [plain, again, rounded] = [await load("fp32"), await load("fp32"), await load("bf16")];
  const identity = (model: LoadedModel) => embeddedSource("tiny", model).identity;
  expect(identity(plain)).toBe(identity(again));
  expect(identity(rounded)).not.toBe(identity(plain));
});

test("a model that was trained meanwhile answers by its new weights, and no cache stays between two calls", async () => {
  const model = await tinyModel("llama");
  const source = embeddedSource("tiny", model);
  const long = [ask("a", "word ".repeat(20), [0, 1])];
  const before = await sample(source, long);
  const held = liveTensors();
  noGrad(() =>
    scope(() => {
      model.decoder.parameters.get("model.layers.0.self_attn.k_proj.weight")!.mul_(-3);
    }),
  );
  const after = await sample(source, long);
  expect(after).not.toEqual(before);
  expect(after).toEqual(await sample(embeddedSource("tiny", model), long));
  expect(liveTensors()).toBeLessThanOrEqual(held);
});

test("closing frees the weights", async () => {
  const model = await tinyModel("llama");
  await embeddedSource("tiny", model).close();
  for (const weight of model.decoder.parameters.values()) expect(weight.disposed).toBe(true);
});
