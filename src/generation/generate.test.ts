import { describe, expect, test } from "vitest";
import { bundleAttention, type Decoder, hiddenStates, nextLogits } from "../models/index.ts";
import { decoderIn, tinyFamilies, tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { liveTensors, noGrad, type Tensor, tensor } from "../torch/index.ts";
import type { EngineRequest, EngineSettings } from "./engine.ts";
import { type Generated, generate } from "./generate.ts";
import { pageElements } from "./page-store.ts";
import { randomStream } from "./random-stream.ts";
import { sampleTokens } from "./sampler.ts";

type Ask = Pick<EngineRequest, "sampler" | "endIds"> & Partial<EngineRequest>;
const greedy: Ask = { sampler: { temperature: 0, topP: 1, topK: 0 }, endIds: new Set() };
const sampled: Ask = { sampler: { temperature: 1, topP: 0.95, topK: 0 }, endIds: new Set([1]) };

const request = (prompt: readonly number[], maxTokens: number, n = 1, name = prompt.join()) => ({
  prompt,
  maxTokens,
  streams: Array.from({ length: n }, (_, index) => randomStream(6, name, index)),
});

const asked = (requests: readonly ReturnType<typeof request>[], ask: Ask): EngineRequest[] =>
  requests.map((one) => ({ ...ask, ...one }));

/** All responses, by request and response. */
async function all(
  model: Decoder,
  requests: readonly ReturnType<typeof request>[],
  ask: Ask,
  settings: EngineSettings = {},
): Promise<Generated[][]> {
  const made: Generated[][] = requests.map(() => []);
  for await (const one of generate(model, asked(requests, ask), settings)) {
    expect(made[one.request]![one.response]).toBeUndefined();
    made[one.request]![one.response] = one;
  }
  for (const [k, { streams }] of requests.entries()) expect(Object.keys(made[k]!)).toEqual(Object.keys(streams));
  return made;
}

/** Logits that each token of the response is drawn from, by one pass over the whole sequence. */
function logitsOf(model: Decoder, prompt: readonly number[], response: readonly number[]): Tensor {
  const ids = [...prompt, ...response];
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64");
  const span = { start: 0, promptLength: ids.length, responseLengths: [] };
  const attend = bundleAttention(model.config, [span]);
  const hidden = hiddenStates(model, int64(ids), int64([...ids.keys()]), attend);
  return nextLogits(model, hidden.narrow(0, prompt.length - 1, response.length));
}

const outcome = ({ ids, finish }: Generated) => ({ ids, finish });

/** Prompts of many lengths, some below and some beyond the tiny models' windows. */
const prompts = [3, 17, 1, 9, 12, 5, 20, 8, 2, 14, 6].map((length, k) =>
  Array.from({ length }, (_, t) => 5 + ((k * 37 + t * 11) % 290)),
);

describe.each(tinyFamilies)("%s", (family) => {
  const figures = tinyFigures(family).greedy;

  test("greedy continuations are those of transformers without a cache, alone and together", async () => {
    const { decoder } = await tinyModel(family);
    const requests = figures.map(({ prompt }) => request(prompt, 40));
    const together = await all(decoder, requests, greedy);
    expect(together.map(([one]) => one!.ids)).toEqual(figures.map(({ ids }) => ids));
    for (const [k, { ids }] of figures.entries())
      expect((await all(decoder, [requests[k]!], greedy))[0]![0]!.ids).toEqual(ids);
  });

  test("sampled responses are the same alone, in one batch, and where slots are refilled and the cache compacted", async () => {
    const { decoder } = await tinyModel(family);
    const requests = prompts.map((prompt, k) => request(prompt, 4 + ((k * 13) % 30), 1 + (k % 3)));
    const together = await all(decoder, requests, sampled);
    const alone = [];
    for (const one of requests) alone.push((await all(decoder, [one], sampled))[0]!);
    expect(together.map((made) => made.map(outcome))).toEqual(alone.map((made) => made.map(outcome)));
    for (const rows of [1, 4, 7]) {
      const refilled = await all(decoder, requests, sampled, { rows });
      expect(refilled.map((made) => made.map(outcome))).toEqual(alone.map((made) => made.map(outcome)));
    }
    // The limits and the end both occur, or this would show little.
    const finishes = new Set(together.flat().map(({ finish }) => finish));
    expect(finishes).toContain("length");
  });

  test("n responses of a prompt draw what a forward pass without a cache draws, token by token", async () => {
    const { decoder } = await tinyModel(family);
    const settings = { sampler: { ...sampled.sampler, temperature: 1.3 }, endIds: new Set<number>() };
    const requests = [request(prompts[1]!, 25, 4), request(prompts[3]!, 12, 2)];
    const made = await all(decoder, requests, settings);
    for (const [k, { prompt, streams }] of requests.entries()) {
      expect(new Set(made[k]!.map(({ ids }) => ids.join())).size).toBe(streams.length);
      for (const { ids, response } of made[k]!) {
        const drawn = noGrad(() =>
          sampleTokens(
            logitsOf(decoder, prompt, ids),
            ids.map((_, step) => ({
              settings: settings.sampler,
              uniform: streams[response]!.uniform(step),
              prompt,
              ids: ids.slice(0, step),
            })),
          ),
        );
        expect(ids).toEqual(drawn);
      }
    }
  });
});

test("an end token ends a response and is no part of it; the limit ends it otherwise", async () => {
  const { decoder } = await tinyModel("llama");
  const { prompt, ids } = tinyFigures("llama").greedy[1]!;
  const end = ids[7]!;
  const [[ended]] = (await all(decoder, [request(prompt, 40)], { ...greedy, endIds: new Set([end, 319]) })) as [
    [Generated],
  ];
  expect(outcome(ended)).toEqual({ ids: ids.slice(0, ids.indexOf(end)), finish: "stop" });
  const [[cut]] = (await all(decoder, [request(prompt, 5)], greedy)) as [[Generated]];
  expect(outcome(cut)).toEqual({ ids: ids.slice(0, 5), finish: "length" });
  const [[first]] = (await all(decoder, [request(prompt, 40)], { ...greedy, endIds: new Set([ids[0]!]) })) as [
    [Generated],
  ];
  expect(outcome(first)).toEqual({ ids: [], finish: "stop" });
  const [[one]] = (await all(decoder, [request(prompt, 1)], greedy)) as [[Generated]];
  expect(outcome(one)).toEqual({ ids: ids.slice(0, 1), finish: "length" });
});

test("a stopper is asked after each token, one for each response; its last token stays", async () => {
  const { decoder } = await tinyModel("qwen2");
  const { prompt, ids } = tinyFigures("qwen2").greedy[2]!;
  let made = 0;
  const stopper = () => {
    made += 1;
    let seen = 0;
    return () => ++seen === 3;
  };
  const outcomes = await all(decoder, [request(prompt, 40, 2), request(prompt, 40, 1, "other")], {
    ...greedy,
    stopper,
  });
  expect(made).toBe(3);
  for (const one of outcomes.flat()) expect(outcome(one)).toEqual({ ids: ids.slice(0, 3), finish: "stop" });
});

test("it stops between two steps when aborted, and when its reader leaves", async () => {
  const { decoder } = await tinyModel("gemma3");
  const requests = prompts.map((prompt, k) => request(prompt, 5 + 3 * k, 2));
  const control = new AbortController();
  let seen = 0;
  for await (const _ of generate(decoder, asked(requests, greedy), { rows: 8 }, control.signal)) {
    seen += 1;
    if (seen === 3) control.abort();
  }
  expect(seen).toBeGreaterThanOrEqual(3);
  expect(seen).toBeLessThan(22);
  for await (const _ of generate(decoder, asked(requests, greedy), {}, AbortSignal.abort()))
    throw new Error("aborted before");
  for await (const _ of generate(decoder, asked(requests, greedy))) break;
});

test("the memory of every way to end is given back at once", async () => {
  const { decoder } = await tinyModel("gemma3");
  const requests = prompts.map((prompt, k) => request(prompt, 5 + 3 * k, 2));
  for (let round = 0; round < 5; round++) {
    const before = liveTensors();
    await all(decoder, requests, sampled, { rows: 8 });
    for await (const _ of generate(decoder, asked(requests, greedy))) break;
    // The garbage of other tests may go meanwhile; nothing may come.
    expect(liveTensors()).toBeLessThanOrEqual(before);
  }
});

test("little memory for keys and values makes fewer go together, and changes nothing else", async () => {
  const { decoder } = await tinyModel("llama");
  const requests = prompts.map((prompt) => request(prompt, 12, 2));
  const plenty = await all(decoder, requests, sampled);
  const little = await all(decoder, requests, sampled, { cacheBytes: 4 * pageElements(decoder.config) * 4 });
  expect(little.map((made) => made.map(outcome))).toEqual(plenty.map((made) => made.map(outcome)));
});

test("nothing asked for gives nothing; a bfloat16 model generates", async () => {
  const { decoder } = await tinyModel("gemma3");
  expect(await all(decoder, [], greedy)).toEqual([]);
  const rounded = await all(decoderIn(decoder, "bfloat16"), [request(prompts[1]!, 30, 3)], sampled);
  for (const { ids } of rounded[0]!) {
    expect(ids.length).toBeGreaterThan(0);
    for (const id of ids) expect(id).toBeLessThan(320);
  }
});
