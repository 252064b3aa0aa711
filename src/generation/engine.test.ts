import { expect, test } from "vitest";
import { bundleAttention, type Decoder, hiddenStates, nextLogits } from "../models/index.ts";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { RequestError } from "../schema/index.ts";
import { noGrad, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import type { Constraint } from "./constraint.ts";
import { Engine, type EngineEvent, type EngineRequest } from "./engine.ts";
import { pageElements } from "./page-store.ts";
import { pageTokens } from "./pages.ts";
import { randomStream } from "./random-stream.ts";

const prompt = (length: number, first = 5) => Array.from({ length }, (_, t) => 5 + ((first * 37 + t * 11) % 290));
const ask = (ids: readonly number[], change: Partial<EngineRequest> = {}, n = 1): EngineRequest => ({
  prompt: ids,
  streams: Array.from({ length: n }, (_, index) => randomStream(3, ids.join(), index)),
  sampler: { temperature: 1, topP: 0.95, topK: 0 },
  maxTokens: 30,
  endIds: new Set(),
  ...change,
});

async function read(events: AsyncIterable<EngineEvent>): Promise<EngineEvent[]> {
  const all: EngineEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
const tokensOf = (events: readonly EngineEvent[], response = 0) =>
  events.flatMap((event) => (event.kind === "token" && event.response === response ? [event.id] : []));

/** Log-probs [T, vocabulary] of what follows each token, by one pass without a cache. */
function logProbsOf(model: Decoder, ids: readonly number[]): Tensor {
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64");
  const attend = bundleAttention(model.config, [{ start: 0, promptLength: ids.length, responseLengths: [] }]);
  return noGrad(() =>
    nextLogits(model, hiddenStates(model, int64(ids), int64([...ids.keys()]), attend)).log_softmax(-1),
  );
}

test("requests that come while others are answered get what they get alone, and leave nothing behind", async () => {
  const { decoder } = await tinyModel("qwen3");
  const engine = new Engine(decoder);
  const requests = [ask(prompt(40)), ask(prompt(75, 6), {}, 3), ask(prompt(9, 7), { maxTokens: 12 }, 2)];
  const together: EngineEvent[][] = requests.map(() => []);
  const reading: Promise<void>[] = [];
  const start = (k: number) =>
    reading.push(
      (async () => {
        for await (const event of engine.submit(requests[k]!)) {
          together[k]!.push(event);
          // The next one comes when this one has drawn its third token.
          if (k + 1 < requests.length && tokensOf(together[k]!).length === 3 && reading.length === k + 1) start(k + 1);
        }
      })(),
    );
  start(0);
  for (let k = 0; k < reading.length; k++) await reading[k];
  expect(engine.load()).toMatchObject({ running: 0, waiting: 0, cacheTokensUsed: 0, preemptions: 0 });
  expect(engine.load().generatedTokens).toBe(30 + 90 + 24);
  await engine.close();
  for (const [k, request] of requests.entries()) {
    const alone = new Engine(decoder);
    const events = await read(alone.submit(request));
    await alone.close();
    for (const index of request.streams.keys()) expect(tokensOf(together[k]!, index)).toEqual(tokensOf(events, index));
    expect(together[k]!.filter(({ kind }) => kind === "end")).toHaveLength(request.streams.length);
  }
});

test("a beginning that was computed before is taken over, an earlier turn's answer too, and changes no token", async () => {
  const { decoder } = await tinyModel("llama");
  const engine = new Engine(decoder);
  const first = await read(engine.submit(ask(prompt(70))));
  expect(engine.load().prefixHitTokens).toBe(0);
  expect(tokensOf(await read(engine.submit(ask(prompt(70)))))).toEqual(tokensOf(first));
  expect(engine.load().prefixHitTokens).toBe(2 * pageTokens);
  // 70 + 30 tokens, of which the last was never computed: 99 are three full pages.
  const next = ask([...prompt(70), ...tokensOf(first), 9, 8, 7]);
  const continued = await read(engine.submit(next));
  expect(engine.load().prefixHitTokens).toBe(5 * pageTokens);
  await engine.close();
  const fresh = new Engine(decoder);
  expect(tokensOf(await read(fresh.submit(next)))).toEqual(tokensOf(continued));
  await fresh.close();
});

test("where the cache is too small for all, the latest give way and are computed again: no token differs", async () => {
  const { decoder } = await tinyModel("gemma2");
  const requests = [1, 2, 3, 4, 5, 6].map((k) => ask(prompt(20 + 7 * k, k), { maxTokens: 100 }, 2));
  const draw = async (engine: Engine) => {
    const made = await Promise.all(requests.map((request) => read(engine.submit(request))));
    await engine.close();
    return made.map((events) => [0, 1].map((index) => tokensOf(events, index)));
  };
  const plenty = new Engine(decoder);
  const little = new Engine(decoder, { cacheBytes: 14 * 4 * pageElements(decoder.config) });
  expect(little.load().cacheTokens).toBe(14 * pageTokens);
  expect(await draw(little)).toEqual(await draw(plenty));
  expect(little.load().preemptions).toBeGreaterThan(3);
  expect(plenty.load().preemptions).toBe(0);
});

test("98 of 100 sampled responses are the same alone and in a batch of a hundred", async () => {
  const { decoder } = await tinyModel("smollm3");
  const requests = Array.from({ length: 100 }, (_, k) => ask(prompt(3 + (k % 50), k), { maxTokens: 20 }));
  const engine = new Engine(decoder);
  const together = await Promise.all(requests.map((request) => read(engine.submit(request))));
  let same = 0;
  for (const [k, request] of requests.entries())
    same += tokensOf(await read(engine.submit(request))).join() === tokensOf(together[k]!).join() ? 1 : 0;
  await engine.close();
  expect(same).toBeGreaterThanOrEqual(98);
});

test("log-probs of the prompt and of the response are the model's own, whatever the sampler does", async () => {
  const { decoder } = await tinyModel("qwen2");
  const engine = new Engine(decoder);
  const sampler = { temperature: 0.7, topP: 0.9, topK: 0, presencePenalty: 1, logitBias: new Map([[9, 5]]) };
  const request = ask(prompt(40), { sampler, topLogProbs: 3, promptLogProbs: true });
  // What another request computed must not hide the prompt's log-probs.
  await read(engine.submit(ask(prompt(40))));
  const events = await read(engine.submit(request));
  await engine.close();
  const ids = tokensOf(events);
  const text = [...request.prompt, ...ids];
  const want = logProbsOf(decoder, text);
  const told = events.flatMap((event) =>
    event.kind === "prompt" ? event.logProbs : event.kind === "token" ? [event.logProb!] : [],
  );
  expect(told).toHaveLength(text.length);
  expect(told[0]).toBeNull();
  for (const [k, one] of told.entries()) {
    if (one === null) continue;
    const row = toNumbers(want.select(0, k - 1));
    expect(one.id).toBe(text[k]);
    expect(one.logProb).toBeCloseTo(row[one.id]!, 4);
    const best = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 3);
    expect(one.top.map(({ id }) => id)).toEqual(best);
    for (const { id, logProb } of one.top) expect(logProb).toBeCloseTo(row[id]!, 4);
  }
});

test("with no token to draw the prompt alone is computed", async () => {
  const { decoder } = await tinyModel("llama");
  const engine = new Engine(decoder);
  const events = await read(engine.submit(ask(prompt(12), { maxTokens: 0, promptLogProbs: true }, 2)));
  expect(events.map(({ kind }) => kind)).toEqual(["prompt", "end", "end"]);
  expect(events.at(-1)).toEqual({ kind: "end", response: 1, finish: "length" });
  expect(engine.load()).toMatchObject({ running: 0, waiting: 0, cacheTokensUsed: 0 });
  await engine.close();
});

test("neither an end token nor a stopper ends a response before its least length", async () => {
  const { decoder } = await tinyModel("llama");
  const engine = new Engine(decoder);
  const endIds = new Set(Array.from({ length: 300 }, (_, k) => k));
  const sampler = { temperature: 1, topP: 1, topK: 0 };
  const least = await read(engine.submit(ask(prompt(12), { sampler, endIds, minTokens: 7 })));
  expect(tokensOf(least).length).toBeGreaterThanOrEqual(7);
  for (const id of tokensOf(least).slice(0, 7)) expect(endIds.has(id)).toBe(false);
  expect(
    tokensOf(await read(engine.submit(ask(prompt(12), { minTokens: 7, stopper: () => () => true })))),
  ).toHaveLength(7);
  await engine.close();
});

test("a constraint decides what may come, each response having its own", async () => {
  const { decoder } = await tinyModel("qwen2");
  const engine = new Engine(decoder);
  /** Allows k, k + 1, k + 2 after k tokens. */
  const counting = (): Constraint => {
    let k = 0;
    return {
      allowed() {
        const mask = new Uint32Array(Math.ceil(decoder.config.vocabularySize / 32));
        for (let id = 40 + k; id < 43 + k; id++) mask[id >>> 5]! |= 1 << (id & 31);
        return mask;
      },
      accept: () => void k++,
    };
  };
  const events = await read(engine.submit(ask(prompt(12), { constraint: counting, topLogProbs: 0 }, 3)));
  for (const index of [0, 1, 2])
    for (const [k, id] of tokensOf(events, index).entries()) {
      expect(id).toBeGreaterThanOrEqual(40 + k);
      expect(id).toBeLessThan(43 + k);
    }
  await engine.close();
});

test("a constraint that fails ends its own request with the error, and no other", async () => {
  const { decoder } = await tinyModel("qwen2");
  const engine = new Engine(decoder);
  let asked = 0;
  const failing = (): Constraint => ({
    allowed() {
      if (++asked === 3) throw new RequestError("nothing goes on");
      return new Uint32Array(10).fill(0xffffffff);
    },
    accept: () => {},
  });
  const [failed, other] = await Promise.allSettled([
    read(engine.submit(ask(prompt(12), { constraint: failing }))),
    read(engine.submit(ask(prompt(12, 6)))),
  ]);
  expect(failed).toMatchObject({ status: "rejected", reason: { message: "nothing goes on" } });
  expect(other.status === "fulfilled" && tokensOf(other.value)).toHaveLength(30);
  expect(engine.load()).toMatchObject({ running: 0, waiting: 0, cacheTokensUsed: 0 });
  await engine.close();
});

test("who aborts or leaves is gone at the next step; the others go on", async () => {
  const { decoder } = await tinyModel("llama");
  const engine = new Engine(decoder);
  const control = new AbortController();
  const [aborted, left, stayed] = await Promise.all([
    (async () => {
      const events: EngineEvent[] = [];
      for await (const event of engine.submit(ask(prompt(33, 1), { maxTokens: 200 }, 4), control.signal)) {
        events.push(event);
        if (tokensOf(events).length === 3) control.abort();
      }
      return events;
    })(),
    (async () => {
      for await (const event of engine.submit(ask(prompt(33, 2), { maxTokens: 200 })))
        if (event.kind === "token") break;
      return engine.load().running;
    })(),
    read(engine.submit(ask(prompt(33, 3), { maxTokens: 40 }))),
  ]);
  expect(tokensOf(aborted).length).toBeLessThan(8);
  expect(aborted.some(({ kind }) => kind === "end")).toBe(false);
  expect(left).toBeLessThan(6);
  expect(tokensOf(stayed)).toHaveLength(40);
  expect(engine.load()).toMatchObject({ running: 0, waiting: 0, cacheTokensUsed: 0 });
  await engine.close();
});

test("what can never be given is refused with its reason", async () => {
  const { decoder } = await tinyModel("llama");
  const engine = new Engine(decoder, { cacheBytes: 4 * 4 * pageElements(decoder.config) });
  const refusal = (request: EngineRequest): string => {
    try {
      engine.submit(request);
    } catch (error) {
      expect(error).toBeInstanceOf(RequestError);
      return (error as RequestError).message;
    }
    return "";
  };
  expect(refusal(ask([]))).toBe("the prompt has no tokens");
  expect(refusal(ask([5, 320]))).toBe("the prompt has a token 320, the model 320 tokens");
  expect(refusal(ask(prompt(5), { streams: [] }))).toBe("no response is asked for");
  expect(refusal(ask(prompt(100)))).toBe("the prompt has 100 tokens and 30 are asked for; the cache has room for 128");
  expect(refusal(ask(prompt(250)))).toBe("the prompt has 250 tokens and 30 are asked for; the model's context has 256");
  const sampler = { temperature: 1, topP: 1, topK: 0, logitBias: new Map([[400, 1]]) };
  expect(refusal(ask(prompt(5), { sampler }))).toBe("a bias is given for token 400, the model has 320 tokens");
  await engine.close();
  expect(refusal(ask(prompt(5)))).toBe("the engine is closed");
  expect(() => new Engine(decoder, { cacheBytes: 1 })).toThrow("1 bytes hold no keys and values of 32 tokens");
});
