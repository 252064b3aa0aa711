import { describe, expect, test } from "vitest";
import {
  describeError,
  EnvironmentError,
  endpointSchema,
  type SampledResponse,
  type SampleOutcome,
  type SampleRequest,
  SourceError,
} from "../schema/index.ts";
import { openEndpoint } from "./endpoint.ts";
import {
  collect,
  failureOf,
  key,
  never,
  openPeer,
  prompts,
  sampleOne,
  sampling,
  texts,
  thrown,
} from "./testing/asking.ts";
import { completion, type Handler, openAiError, sendJson, strict } from "./testing/local-server.ts";
import { serving } from "./testing/serving.ts";

const { closing, serve } = serving();
const open = (...given: Parameters<typeof openPeer>) => closing(openPeer(...given));

describe("what is asked", () => {
  test("n responses in one call, in OpenAI's own fields and no others", async () => {
    const server = await serve(strict);
    const outcomes = await sampleOne(open(server.url), 5);
    expect(server.calls).toHaveLength(1);
    const [{ path, authorization, body }] = server.calls as [(typeof server.calls)[number]];
    expect({ path, authorization }).toEqual({ path: "/v1/chat/completions", authorization: `Bearer ${key}` });
    const { seed, ...fields } = body;
    expect(fields).toEqual({
      model: "m",
      messages: [{ role: "user", content: "question 0" }],
      n: 5,
      temperature: 0.8,
      top_p: 0.95,
      max_tokens: 64,
    });
    expect(outcomes).toEqual(
      [0, 1, 2, 3, 4].map((index) => ({
        promptId: "p0",
        index,
        text: `answer ${seed}/${index}`,
        finish: "stop",
        promptTokens: 19,
        responseTokens: 10,
      })),
    );
  });

  test("one call each where native_n is off, with seeds that depend on prompt, index and the sampling's seed alone", async () => {
    const server = await serve(strict);
    const seeds = async (requests: SampleRequest[], seed: number) => {
      const from = server.calls.length;
      const source = open(server.url, { native_n: false });
      const outcomes = await collect(source.sample(requests, { ...sampling, seed }, never));
      for (const { body } of server.calls.slice(from)) expect(body).not.toHaveProperty("n");
      return texts(outcomes);
    };
    const all = await seeds(prompts(3, 4), 42);
    expect(new Set(all).size).toBe(12);
    for (const text of all) expect(Number(/\d+/.exec(text)![0])).toBeLessThan(2 ** 31);
    expect(await seeds([{ ...prompts(3, 4)[2]!, indices: [3] }], 42)).toEqual([all[11]]);
    expect(await seeds([{ ...prompts(3, 4)[2]!, indices: [3] }], 43)).not.toEqual([all[11]]);
  });

  test("top_k and stop where they mean something", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, completion(["yes"])));
    await collect(open(server.url).sample(prompts(1, 1), { ...sampling, top_k: 40, stop: ["\n\n"] }, never));
    expect(server.calls[0]!.body).toMatchObject({ top_k: 40, stop: ["\n\n"] });
  });

  test("never more calls at once than the recipe says", async () => {
    const server = await serve(async (call, answer, before) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return strict(call, answer, before);
    });
    const outcomes = await collect(
      open(server.url, { concurrency: 3, native_n: false }).sample(prompts(8, 3), sampling, never),
    );
    expect(new Set(texts(outcomes)).size).toBe(24);
    expect(server.mostOpen()).toBe(3);
  });

  test("each outcome comes as soon as it is there", async () => {
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const server = await serve(async (call, answer, before) => {
      if (call.body.messages[0]!.content === "question 0") await held;
      return strict(call, answer, before);
    });
    const order: string[] = [];
    for await (const { promptId } of open(server.url).sample(prompts(3, 1), sampling, never)) {
      order.push(promptId);
      if (order.length === 2) letGo();
    }
    expect(order.at(-1)).toBe("p0");
  });
});

describe("n that the server does not give", () => {
  test("fewer choices than asked for: the missing ones are asked for again, even without retries", async () => {
    const server = await serve(({ body }, answer) =>
      sendJson(
        answer,
        200,
        completion(Array.from({ length: Math.min(2, body.n ?? 1) }, (_, i) => `${body.seed}/${i}`)),
      ),
    );
    const outcomes = await sampleOne(open(server.url, { retries: 0 }), 5);
    expect(new Set(texts(outcomes)).size).toBe(5);
    expect(server.calls.map(({ body }) => body.n)).toEqual([5, 3, undefined]);
  });

  test("always one choice: learnt once, then one call each", async () => {
    const server = await serve(({ body }, answer) => sendJson(answer, 200, completion([`${body.seed}`])));
    const notices: string[] = [];
    const source = open(server.url, { concurrency: 1 }, { notice: (text) => notices.push(text) });
    const outcomes = await collect(source.sample(prompts(3, 4), sampling, never));
    expect(new Set(texts(outcomes)).size).toBe(12);
    expect(server.calls.map(({ body }) => body.n)).toEqual([4, ...Array(11).fill(undefined)]);
    expect(notices).toEqual([expect.stringMatching(/source peer.*asked for alone/)]);
  });

  test("n refused: one call each", async () => {
    const server = await serve((call, answer, before) =>
      call.body.n === undefined
        ? strict(call, answer, before)
        : sendJson(answer, 400, openAiError("'n' : number must be at most 1")),
    );
    expect(new Set(texts(await sampleOne(open(server.url), 3))).size).toBe(3);
    expect(server.calls).toHaveLength(4);
  });

  test("one text n times over (all choices drawn with one seed): kept once, the others are asked for alone", async () => {
    const server = await serve(({ body }, answer) => {
      const text = `${body.seed} `.repeat(60);
      sendJson(answer, 200, completion(Array(body.n ?? 1).fill(text)));
    });
    expect(new Set(texts(await sampleOne(open(server.url), 4))).size).toBe(4);
    expect(server.calls.map(({ body }) => body.n)).toEqual([4, undefined, undefined, undefined]);
  });

  test("one text whatever the seed, asked for one by one: it is said, once", async () => {
    const noticed = async (handler: Handler) => {
      const server = await serve(handler);
      const notices: string[] = [];
      const source = open(server.url, { native_n: false }, { notice: (text) => notices.push(text) });
      await collect(source.sample(prompts(10, 3), sampling, never));
      return notices;
    };
    const greedy: Handler = ({ body }, answer) =>
      sendJson(answer, 200, completion([`${body.messages[0]!.content}, and so on, and so on, and so on`]));
    expect(await noticed(greedy)).toEqual([expect.stringMatching(/one text whatever the seed/)]);
    const drawing: Handler = ({ body }, answer) =>
      sendJson(answer, 200, completion([`${body.seed}, and so on, and so on, and so on, and so on`]));
    expect(await noticed(drawing)).toEqual([]);
  });

  test("more choices than asked for: the first are taken", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, completion(["a", "b", "c", "d"])));
    expect(texts(await sampleOne(open(server.url), 2))).toEqual(["a", "b"]);
  });
});

describe("tokens", () => {
  test("a call's sum is shared out by length", async () => {
    const server = await serve((_, answer) =>
      sendJson(answer, 200, completion(["a".repeat(10), "é".repeat(15), "b"], 40)),
    );
    const outcomes = (await sampleOne(open(server.url), 3)) as SampledResponse[];
    const tokens = outcomes.map(({ responseTokens }) => responseTokens);
    expect(tokens.reduce((sum, each) => sum + each, 0)).toBe(40);
    expect(tokens).toEqual([10, 29, 1]);
  });

  test("no usage: an estimate, and a notice of it", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, { ...completion(["12345678"]), usage: undefined }));
    const notices: string[] = [];
    const [outcome] = await sampleOne(open(server.url, {}, { notice: (text) => notices.push(text) }));
    expect(outcome).toMatchObject({ promptTokens: 3, responseTokens: 2 });
    expect(notices).toEqual([expect.stringMatching(/usage/)]);
  });
});

describe("completions that are no responses", () => {
  test("finish for length is kept as such", async () => {
    const server = await serve((_, answer) =>
      sendJson(answer, 200, completion([{ content: "half an ans", finish_reason: "length" }])),
    );
    expect(await sampleOne(open(server.url))).toMatchObject([{ text: "half an ans", finish: "length" }]);
  });

  test.each([
    ["empty", { content: "" }, /the completion is empty, tried 3 times/],
    ["blank", { content: " \n" }, /the completion is empty/],
    ["null", { content: null }, /the completion is empty/],
    ["filtered", { content: "I can", finish_reason: "content_filter" }, /content filter/],
    ["refused", { content: null, refusal: "I can't help with that." }, /refused to answer/],
    ["a tool call", { content: "x", finish_reason: "tool_calls" }, /finish_reason "tool_calls"/],
    ["no finish", { content: "x", finish_reason: null }, /no finish_reason/],
  ])("%s: asked again with other seeds, then a failure", async (_, choice, reason) => {
    const server = await serve((_, answer) => sendJson(answer, 200, completion([choice])));
    const failure = await failureOf(open(server.url));
    expect(failure).toMatch(reason);
    expect(failure).toContain(server.url);
    expect(new Set(server.calls.map(({ body }) => body.seed)).size).toBe(3);
  });

  test("an empty one among good ones: the good ones are kept, it alone is asked for again", async () => {
    const server = await serve((_, answer, before) =>
      sendJson(answer, 200, before === 0 ? completion(["a", "", "c"]) : completion(["b"])),
    );
    expect(texts(await sampleOne(open(server.url), 3)).sort()).toEqual(["a", "b", "c"]);
    expect(server.calls).toHaveLength(2);
  });

  test("max_tokens used up by reasoning: not asked again", async () => {
    const server = await serve((_, answer) =>
      sendJson(answer, 200, completion([{ content: "", finish_reason: "length" }])),
    );
    expect(await failureOf(open(server.url))).toMatch(/max_tokens ran out/);
    expect(server.calls).toHaveLength(1);
  });

  test("no choices at all", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, completion([])));
    expect(await failureOf(open(server.url))).toMatch(/no choices/);
    expect(server.calls).toHaveLength(3);
  });
});

describe("what ends the sampling at once", () => {
  test.each([
    [
      401,
      openAiError(`Incorrect API key provided: ${key}`, "invalid_api_key"),
      /does not accept the key in PEER_KEY/,
      /PEER_KEY holds/,
    ],
    [403, openAiError(`${key} may not`), /does not accept the key in PEER_KEY \(HTTP 403: \[secret\] may not/, /"m"/],
    [404, openAiError("The model `m` does not exist", "model_not_found"), /no model "m".*`m` does not exist/, /\/v1/],
    [402, {}, /no credit left/, /Top up/],
    [429, openAiError("You exceeded your current quota", "insufficient_quota"), /no credit left/, /Top up/],
    [405, {}, /can't be used/, /url/],
  ])("HTTP %i", async (status, body, message, hint) => {
    const server = await serve((_, answer) => sendJson(answer, status, body));
    const error = await thrown(open(server.url, { concurrency: 1 }), 4);
    expect(error.message).toContain(server.url);
    expect(error.message).toContain("PEER_KEY");
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    expect(server.calls).toHaveLength(1);
  });

  test("a redirect is not followed: the key stays with the host that was named", async () => {
    const other = await serve(strict);
    const server = await serve((_, answer) => {
      answer.writeHead(307, { location: `${other.url}/x?token=t` }).end();
    });
    const error = await thrown(open(server.url));
    expect(error.message).toContain(`a redirect to ${other.url}/x)`);
    expect(other.calls).toHaveLength(0);
  });

  test("a field that the server does not take, by name", async () => {
    const server = await serve((_, answer) =>
      sendJson(
        answer,
        400,
        openAiError("Unsupported value: 'temperature' must be 1", "unsupported_value", "temperature"),
      ),
    );
    expect(describeError(await thrown(open(server.url)))).toMatch(
      /does not take the request's temperature.*\n.*Change temperature/,
    );
  });

  test("responses that came before it are given out", async () => {
    const server = await serve((call, answer, before) =>
      before < 2 ? strict(call, answer, before) : sendJson(answer, 401, {}),
    );
    const got: SampleOutcome[] = [];
    const run = async () => {
      for await (const outcome of open(server.url, { concurrency: 1 }).sample(prompts(9, 1), sampling, never))
        got.push(outcome);
    };
    await expect(run()).rejects.toBeInstanceOf(SourceError);
    expect(got.map(({ promptId }) => promptId)).toEqual(["p0", "p1"]);
    expect(server.calls).toHaveLength(3);
  });

  test("a missing key, before any call", () => {
    const recipe = endpointSchema.parse({ url: "http://127.0.0.1:9/v1", model: "m", key_env: "PEER_KEY" });
    expect(() => openEndpoint("peer", recipe, { environment: {} })).toThrow(EnvironmentError);
    expect(() => openEndpoint("peer", recipe, { environment: {} })).toThrow(/PEER_KEY/);
  });
});
