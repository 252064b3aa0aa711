import OpenAI, {
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyFigures } from "../models/testing/tiny-model.ts";
import { tokenizerFromGguf } from "../tokenizers/index.ts";
import { byteLevelMetadata } from "../tokenizers/testing/synthetic.ts";
import { type TinyServer, testKey, tinyServer } from "./testing/tiny-server.ts";

const tokenizer = tokenizerFromGguf(byteLevelMetadata("qwen2"), "synthetic");
const figures = tinyFigures("qwen2");
const model = "tiny-qwen2";

let server: TinyServer;
let client: OpenAI;
const clientOf = (served: TinyServer, apiKey = testKey) => new OpenAI({ baseURL: served.base, apiKey, maxRetries: 0 });
beforeAll(async () => {
  server = await tinyServer(["qwen2", "llama"]);
  client = clientOf(server);
});
afterAll(() => server.close());

const ask = { model, messages: [{ role: "user" as const, content: "Hello there" }], max_tokens: 12, seed: 7 };

describe("completions through OpenAI's client", () => {
  test("are those that transformers draws greedily", async () => {
    for (const { prompt, ids } of figures.greedy) {
      const { choices, usage } = await client.completions.create({
        ...{ model, prompt, temperature: 0, max_tokens: ids.length },
        ...({ ignore_eos: true } as object),
      });
      expect(choices[0]!.text).toBe(tokenizer.decode(ids, { skipSpecial: true }));
      expect(choices[0]!.finish_reason).toBe("length");
      expect(usage).toMatchObject({ prompt_tokens: prompt.length, completion_tokens: ids.length });
    }
  });

  test("echo a prompt with the log-probs that transformers gives its tokens", async () => {
    const texts = figures.bundles.flatMap(({ prompt, responses }) =>
      responses.map(({ ids, logps }) => ({ prompt, ids: [...prompt, ...ids], logps })),
    );
    for (const maxTokens of [0, 1]) {
      const { choices } = await client.completions.create({
        ...{
          model,
          prompt: texts.map(({ ids }) => ids),
          echo: true,
          logprobs: 3,
          temperature: 0,
          max_tokens: maxTokens,
        },
      });
      expect(choices).toHaveLength(texts.length);
      for (const [i, { prompt, ids, logps }] of texts.entries()) {
        const { tokens, token_logprobs: own, top_logprobs: top, text_offset: offsets } = choices[i]!.logprobs!;
        expect(own).toHaveLength(ids.length + maxTokens);
        expect([own![0], top![0]]).toEqual([null, null]);
        for (const [k, logp] of logps.entries()) expect(own![prompt.length + k]).toBeCloseTo(logp, 3);
        for (const [k, likely] of top!.slice(1).entries()) {
          const values = Object.values(likely);
          expect(values.length === 3 || values.length === 4).toBe(true);
          expect(likely[tokens![k + 1]!]).toBe(own![k + 1]);
        }
        expect(choices[i]!.text.startsWith(tokenizer.decode(ids))).toBe(true);
        expect(offsets![0]).toBe(0);
      }
    }
  });

  test("columns of log-probs spell the text, token by token", async () => {
    const prompt = "Some text, with é and 😀.";
    const { choices } = await client.completions.create({
      ...{ model, prompt, echo: true, logprobs: 0, temperature: 0, max_tokens: 8 },
      ...({ ignore_eos: true } as object),
    });
    const [{ text, logprobs }] = choices as [(typeof choices)[number]];
    const tokens = logprobs!.tokens!.slice(0, -8);
    expect(tokens).toHaveLength(tokenizer.encode(prompt).length);
    expect(text.startsWith(prompt)).toBe(true);
    for (const [k, token] of tokens.entries())
      if (!token.startsWith("bytes:")) expect(text.startsWith(token, logprobs!.text_offset![k])).toBe(true);
    // Two tokens never share a name: half characters are spelled by their bytes.
    expect(tokens).toContain("bytes:\\xf0");
  });

  test("stream the same text", async () => {
    const request = { model, prompt: ["one", "two"], n: 2, temperature: 1, seed: 5, max_tokens: 10, echo: true };
    const whole = await client.completions.create(request);
    const texts = ["", "", "", ""];
    const finishes: string[] = [];
    let used: unknown;
    for await (const chunk of await client.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    })) {
      used = chunk.usage ?? used;
      for (const { index, text, finish_reason: finish } of chunk.choices) {
        texts[index] += text;
        if (finish) finishes.push(finish);
      }
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
    expect(finishes).toHaveLength(4);
    expect(used).toEqual(whole.usage);
  });

  test("the best of several are those of the highest mean log-prob", async () => {
    const request = { model, prompt: "one", temperature: 1, seed: 5, max_tokens: 6, logprobs: 0 };
    const all = await client.completions.create({ ...request, n: 5 });
    const mean = (choice: (typeof all.choices)[number]) => {
      const own = choice.logprobs!.token_logprobs as number[];
      return own.reduce((sum, value) => sum + value, 0) / own.length;
    };
    const best = [...all.choices].sort((a, b) => mean(b) - mean(a)).slice(0, 2);
    const chosen = await client.completions.create({ ...request, n: 2, best_of: 5 });
    expect(chosen.choices.map(({ text }) => text)).toEqual(best.map(({ text }) => text));
  });
});

describe("chats through OpenAI's client", () => {
  test("the same seed draws the same, alone, among n and in a stream", async () => {
    const one = await client.chat.completions.create(ask);
    const three = await client.chat.completions.create({ ...ask, n: 3 });
    expect(three.choices[0]!.message.content).toBe(one.choices[0]!.message.content);
    expect(new Set(three.choices.map(({ message }) => message.content)).size).toBe(3);
    const other = await client.chat.completions.create({ ...ask, seed: 8 });
    expect(other.choices[0]!.message.content).not.toBe(one.choices[0]!.message.content);
    const texts = ["", "", ""];
    let tokens = 0;
    for await (const { choices, usage } of await client.chat.completions.create({
      ...{ ...ask, n: 3, stream: true, stream_options: { include_usage: true } },
    })) {
      for (const { index, delta } of choices) texts[index] += delta.content ?? "";
      tokens += usage?.completion_tokens ?? 0;
    }
    expect(texts).toEqual(three.choices.map(({ message }) => message.content));
    expect(tokens).toBe(three.usage!.completion_tokens);
    expect(one.system_fingerprint).toBe(three.system_fingerprint);
  });

  test("log-probs are those of completions, with their bytes", async () => {
    const prompt = tokenizer.encodePrompt(ask.messages);
    const greedy = { model, temperature: 0, max_tokens: 9 };
    const more = { ignore_eos: true } as object;
    const chat = await client.chat.completions.create({
      ...{ ...greedy, messages: ask.messages, logprobs: true, top_logprobs: 2, ...more },
    });
    const plain = await client.completions.create({ ...greedy, prompt, logprobs: 2, ...more });
    const content = chat.choices[0]!.logprobs!.content!;
    expect(content.map(({ logprob }) => logprob)).toEqual(plain.choices[0]!.logprobs!.token_logprobs);
    expect(content.every(({ top_logprobs: top, logprob }) => top.length === 2 && top[0]!.logprob === logprob)).toBe(
      true,
    );
    for (const { token, bytes } of content) expect(Buffer.from(bytes!).toString()).toBe(token);
    expect(chat.choices[0]!.message.content).toBe(plain.choices[0]!.text);
    const streamed: number[] = [];
    for await (const { choices } of await client.chat.completions.create({
      ...{ ...greedy, messages: ask.messages, logprobs: true, stream: true, ...more },
    }))
      for (const token of choices[0]?.logprobs?.content ?? []) streamed.push(token.logprob);
    expect(streamed).toEqual(content.map(({ logprob }) => logprob));
  });

  test("a stop string ends it, and is no part of it", async () => {
    const free = await client.chat.completions.create({ ...ask, max_tokens: 40 });
    const text = free.choices[0]!.message.content!;
    const stop = text.slice(8, 11);
    const stopped = await client.chat.completions.create({ ...ask, max_tokens: 40, stop: [stop, "never this"] });
    expect(stopped.choices[0]).toMatchObject({
      finish_reason: "stop",
      message: { content: text.slice(0, text.indexOf(stop)) },
    });
    expect(stopped.usage!.completion_tokens).toBeLessThan(free.usage!.completion_tokens);
  });

  test("a biased token is all that comes", async () => {
    const [id] = tokenizer.encode("x");
    const { choices } = await client.chat.completions.create({ ...ask, logit_bias: { [id!]: 100 }, max_tokens: 5 });
    expect(choices[0]!.message.content).toBe("xxxxx");
  });
});

describe("embeddings through OpenAI's client", () => {
  test("have length 1, and are the same alone and among others, as numbers and as bytes", async () => {
    const input = ["one", "two and more", "three"];
    const { data, usage } = await client.embeddings.create({ model, input, encoding_format: "float" });
    for (const { embedding } of data) expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
    expect(usage.prompt_tokens).toBe(input.flatMap((text) => tokenizer.encode(text)).length);
    for (const [i, text] of input.entries()) {
      const alone = await client.embeddings.create({ model, input: text });
      for (const [k, value] of alone.data[0]!.embedding.entries()) expect(value).toBeCloseTo(data[i]!.embedding[k]!, 5);
    }
  });
});

describe("errors arrive as the client's own classes", () => {
  test("a wrong key, an unknown model, a field out of range", async () => {
    await expect(clientOf(server, "wrong").models.list()).rejects.toThrow(AuthenticationError);
    await expect(client.chat.completions.create({ ...ask, model: "gpt-9" })).rejects.toThrow(NotFoundError);
    await expect(client.models.retrieve("gpt-9")).rejects.toThrow(NotFoundError);
    const wrong = client.chat.completions.create({ ...ask, temperature: 3 });
    await expect(wrong).rejects.toThrow(BadRequestError);
    await expect(wrong).rejects.toMatchObject({ param: "temperature", type: "invalid_request_error" });
  });

  test("a prompt beyond the context, before anything is streamed", async () => {
    const long = { ...ask, messages: [{ role: "user" as const, content: "word ".repeat(500) }] };
    for (const stream of [false, true])
      await expect(client.chat.completions.create({ ...long, stream })).rejects.toMatchObject({
        ...{ status: 400, code: "context_length_exceeded", param: "messages" },
      });
  });

  test("what can't be promised is refused", async () => {
    for (const more of [
      { tools: [{ type: "function" as const, function: { name: "f" } }] },
      { tool_choice: "auto" as const },
      { n: 1000 },
      { top_logprobs: 2 },
      { stream_options: { include_usage: true } },
      { logit_bias: { 99999: 1 } },
      { messages: [{ role: "user" as const, content: [{ type: "image_url" as const, image_url: { url: "x" } }] }] },
      { functions: [] },
    ])
      await expect(client.chat.completions.create({ ...ask, ...more } as typeof ask)).rejects.toThrow(BadRequestError);
  });

  test("a full line, a wait that is too long, a request that is too long", async () => {
    const limits = { running: 1, waiting: 1, waiting_seconds: 0.3, seconds: 1, cache_mib: 8 };
    const small = await tinyServer(["qwen2"], { limits });
    try {
      const own = clientOf(small);
      const long = { ...ask, max_tokens: 200, ignore_eos: true } as typeof ask;
      const asked = await Promise.allSettled(Array.from({ length: 6 }, () => own.chat.completions.create(long)));
      const errors = asked.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
      const refused = errors.filter((error) => error instanceof RateLimitError);
      expect(refused.length).toBeGreaterThanOrEqual(3);
      expect(Number(refused[0]!.headers?.get("retry-after"))).toBeGreaterThanOrEqual(1);
      for (const error of errors)
        expect(error instanceof RateLimitError || error instanceof InternalServerError).toBe(true);
    } finally {
      await small.close();
    }
  });
});

test("no key stands in the log", async () => {
  await client.models.list();
  expect(server.log.some(({ route }) => route === "/v1/models")).toBe(true);
  expect(server.logText()).not.toContain(testKey);
  expect(server.logText()).not.toMatch(/bearer|Hello there/i);
});
