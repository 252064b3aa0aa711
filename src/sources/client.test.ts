import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { type EndpointRecipe, endpointSchema, SourceError } from "../schema/index.ts";
import type { EndpointOptions } from "./calls.ts";
import { type EndpointClient, openEndpointClient } from "./client.ts";
import { CallError, RejectedFieldError } from "./client-errors.ts";
import { completion, type Handler, openAiError, sendJson } from "./testing/local-server.ts";
import { serving } from "./testing/serving.ts";

const never = new AbortController().signal;
const request = { messages: [{ role: "user", content: "hello" }], max_tokens: 8, seed: 7 } as const;
const good = completion(["well"]);

const { closing, serve } = serving();
const open = (url: string, recipe: Partial<EndpointRecipe> = {}, options: EndpointOptions = {}): EndpointClient => {
  const whole = endpointSchema.parse({ url, model: "m", retries: 2, timeout_seconds: 20, ...recipe });
  const client = openEndpointClient(whole, { environment: {}, retryDelayMs: 1, ...options });
  return closing(client);
};
const ask = (client: EndpointClient) => client.chatCompletion(request, never);
const textOf = async (client: EndpointClient) => (await ask(client)).choices[0]!.message.content;
const failure = async <T extends SourceError>(
  client: EndpointClient,
  type: new (...given: never[]) => T,
): Promise<T> => {
  const error: unknown = await ask(client).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(type);
  return error as T;
};
/** A port of 127.0.0.1 where nothing listens. */
const freePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
};

const json = { "content-type": "application/json" };
const body = JSON.stringify(good);
const troubles: [string, Handler, RegExp][] = [
  ["a reset", (_, answer) => void answer.destroy(), /connection was closed before|reset/],
  ["HTTP 500", (_, answer) => sendJson(answer, 500, {}), /HTTP 500/],
  ["HTTP 502 with a page", (_, answer) => void answer.writeHead(502).end("<html>Bad gateway</html>"), /HTTP 502/],
  ["HTTP 408", (_, answer) => sendJson(answer, 408, openAiError("slow")), /HTTP 408: slow/],
  [
    "half a JSON",
    (_, answer) => void answer.writeHead(200, json).end(body.slice(0, 150)),
    /JSON breaks off.*150 bytes/,
  ],
  [
    "half an answer",
    (_, answer) => {
      answer.writeHead(200, { ...json, "content-length": body.length });
      answer.write(body.slice(0, 150), () => answer.destroy());
    },
    /closed before the answer was whole|reset/,
  ],
  ["nothing", (_, answer) => void answer.writeHead(200, json).end(), /answer is empty/],
  ["a web page", (_, answer) => void answer.writeHead(200).end("<!doctype html><p>hi"), /web page, not JSON/],
  ["a stream", (_, answer) => void answer.writeHead(200).end("data: {}\n\n"), /event stream/],
  ["plain words", (_, answer) => void answer.writeHead(200).end("it works"), /not JSON/],
  [
    "bytes that are not UTF-8",
    (_, answer) => void answer.writeHead(200, json).end(Buffer.from([123, 255])),
    /not UTF-8/,
  ],
  [
    "another shape",
    (_, answer) => sendJson(answer, 200, { ...good, choices: [{ text: "well" }] }),
    /at choices\.0\.message/,
  ],
  ["an array", (_, answer) => sendJson(answer, 200, []), /not a chat completion/],
  [
    "200 with an error inside",
    (_, answer) => sendJson(answer, 200, { error: { code: 503, message: "busy" } }),
    /HTTP 503: busy/,
  ],
  [
    "an error in another shape",
    (_, answer) => sendJson(answer, 500, { detail: "out of memory" }),
    /HTTP 500: out of memory/,
  ],
];

describe("what may go well another time", () => {
  test.each(troubles)("%s, once", async (_, trouble) => {
    const server = await serve((call, answer, before) =>
      before === 0 ? trouble(call, answer, before) : sendJson(answer, 200, good),
    );
    expect(await textOf(open(server.url))).toBe("well");
    expect(server.calls).toHaveLength(2);
  });

  test.each(troubles)("%s, again and again", async (_, trouble, reason) => {
    const server = await serve(trouble);
    const error = await failure(open(server.url), CallError);
    expect(error.message).toMatch(reason);
    expect(error.message).toMatch(/tried 3 times$/);
    expect(error.message.startsWith(`${server.url}: `)).toBe(true);
    expect(server.calls).toHaveLength(3);
  });

  test("refused", async () => {
    const error = await failure(open(`http://127.0.0.1:${await freePort()}/v1`), CallError);
    expect(error.message).toMatch(/refused: nothing listens there \(ECONNREFUSED\), tried 3 times/);
  });

  test("no such host", async () => {
    const error = await failure(open("http://no-such-host.invalid/v1", { retries: 0 }), CallError);
    expect(error.message).toMatch(/no such host|can't be looked up/);
  });

  test("a server that does not speak HTTP", async () => {
    const raw = createServer(
      (socket) =>
        void socket
          .on("error", () => {})
          .resume()
          .end("220 mail ready\r\n"),
    );
    await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
    closing({ close: () => new Promise((resolve) => raw.close(() => resolve())) });
    const { port } = raw.address() as { port: number };
    expect((await failure(open(`http://127.0.0.1:${port}/v1`), CallError)).message).toMatch(/does not speak HTTP/);
  });

  test.each<[string, Handler]>([
    ["before the answer", () => {}],
    ["in the middle of it", (_, answer) => void answer.writeHead(200, json).write(body.slice(0, 50))],
  ])("a hang %s has an end", async (_, handler) => {
    const server = await serve(handler);
    const error = await failure(open(server.url, { timeout_seconds: 0.1, retries: 1 }), CallError);
    expect(error.message).toMatch(/no whole answer within 0.1 s, tried 2 times/);
  });

  test("words of the server are cut, and can't steer a terminal", async () => {
    const server = await serve((_, answer) => sendJson(answer, 500, openAiError(`\u001b[31m\n${"no ".repeat(9999)}`)));
    const { message } = await failure(open(server.url, { retries: 0 }), CallError);
    expect(message).toMatch(/HTTP 500: \[31m no no/);
    expect(message.length).toBeLessThan(400);
  });
});

describe("waits", () => {
  const waited = async (headers: Record<string, string>, status = 429, times = 1): Promise<number[]> => {
    const waits: number[] = [];
    const server = await serve((_, answer, before) =>
      before < times ? sendJson(answer, status, {}, headers) : sendJson(answer, 200, good),
    );
    const wait = async (ms: number) => {
      waits.push(ms);
    };
    await ask(open(server.url, { retries: 5 }, { wait, retryDelayMs: 500 }));
    return waits;
  };

  test("grow, with a random part", async () => {
    const waits = await waited({}, 500, 5);
    expect(waits).toHaveLength(5);
    for (const [i, ms] of waits.entries()) {
      expect(ms).toBeGreaterThanOrEqual(250 * 2 ** i);
      expect(ms).toBeLessThanOrEqual(500 * 2 ** i);
    }
  });

  test.each([429, 503])("HTTP %i with Retry-After in seconds", async (status) => {
    const [ms, ...others] = await waited({ "retry-after": "30" }, status);
    expect(others).toEqual([]);
    expect(ms).toBeGreaterThanOrEqual(30_000);
    expect(ms).toBeLessThan(32_000);
  });

  test("Retry-After as a date, by the server's clock", async () => {
    const headers = { date: "Thu, 01 Jan 2026 12:00:00 GMT", "retry-after": "Thu, 01 Jan 2026 12:01:00 GMT" };
    const [ms] = await waited(headers);
    expect(ms).toBeGreaterThanOrEqual(60_000);
    expect(ms).toBeLessThan(64_000);
  });

  test("one call's Retry-After holds the others back as well", async () => {
    const waits: number[] = [];
    const server = await serve((_, answer, before) =>
      before === 0 ? sendJson(answer, 429, {}, { "retry-after": "30" }) : sendJson(answer, 200, good),
    );
    const client = open(server.url, { retries: 0 }, { wait: async (ms) => void waits.push(ms) });
    await failure(client, CallError);
    await ask(client);
    expect(waits).toHaveLength(1);
    expect(waits[0]).toBeGreaterThan(20_000);
  });

  test("more than ten minutes are not waited for", async () => {
    const server = await serve((_, answer) => sendJson(answer, 429, {}, { "retry-after": "7200" }));
    const error = await failure(open(server.url), SourceError);
    expect(error).not.toBeInstanceOf(CallError);
    expect(error.message).toMatch(/asks to wait 120 minutes/);
    expect(server.calls).toHaveLength(1);
  });
});

describe("what never goes well", () => {
  test.each([
    ["a bad request", 400, openAiError("messages: bad"), /HTTP 400: messages: bad$/],
    [
      "too long",
      400,
      openAiError("This model's maximum context length is 99", "context_length_exceeded", "messages"),
      /don't fit/,
    ],
    ["too large", 413, {}, /HTTP 413$/],
    ["filtered input, Azure's way", 400, openAiError("policy", "content_filter", "prompt"), /content filter/],
    [
      "filtered input, a router's way",
      403,
      { error: { code: 403, message: "flagged", metadata: { reasons: ["violence"] } } },
      /content filter/,
    ],
  ])("%s: this call alone, and only once", async (_, status, given, reason) => {
    const server = await serve((_, answer) => sendJson(answer, status, given));
    expect((await failure(open(server.url), CallError)).message).toMatch(reason);
    expect(server.calls).toHaveLength(1);
  });

  test("a server that has failed many calls in a row is gone; one success in between, and it is not", async () => {
    let up = false;
    const server = await serve((_, answer) => (up ? sendJson(answer, 200, good) : sendJson(answer, 500, {})));
    const client = open(server.url, { retries: 0, concurrency: 2 });
    for (let i = 0; i < 5; i++) await failure(client, CallError);
    up = true;
    await ask(client);
    up = false;
    for (let i = 0; i < 5; i++) await failure(client, CallError);
    const error = await failure(client, SourceError);
    expect(error).not.toBeInstanceOf(CallError);
    expect(error.message).toMatch(/failed 6 calls in a row \(HTTP 500\)/);
    expect(error.hint).toMatch(/server is up .* run again/);
  });

  test("one that limits the calls all the time is told as such", async () => {
    const server = await serve((_, answer) => sendJson(answer, 429, openAiError("slow down")));
    const client = open(server.url, { retries: 0, concurrency: 1 });
    for (let i = 0; i < 2; i++) await failure(client, CallError);
    const error = await failure(client, SourceError);
    expect(error.message).toMatch(/failed 3 calls in a row \(HTTP 429: slow down\)/);
    expect(error.hint).toMatch(/concurrency.* run again/);
  });
});

describe("servers that want other fields", () => {
  test("max_completion_tokens for max_tokens, learnt once", async () => {
    const server = await serve(({ body }, answer) =>
      body.max_tokens === undefined
        ? sendJson(answer, 200, good)
        : sendJson(
            answer,
            400,
            openAiError(
              "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
              "unsupported_parameter",
              "max_tokens",
            ),
          ),
    );
    const notices: string[] = [];
    const client = open(server.url, { retries: 0 }, { notice: (text) => notices.push(text) });
    await ask(client);
    await ask(client);
    expect(server.calls.map(({ body }) => body.max_completion_tokens)).toEqual([undefined, 8, 8]);
    expect(notices).toHaveLength(1);
  });

  test.each([
    ["OpenAI's shape", openAiError("Unsupported parameter: 'seed'", "unsupported_parameter", "seed"), 400],
    [
      "FastAPI's shape",
      { detail: [{ type: "extra_forbidden", loc: ["body", "seed"], msg: "Extra inputs are not permitted" }] },
      422,
    ],
    [
      "Mistral's shape",
      { object: "error", message: { detail: [{ type: "extra_forbidden", loc: ["body", "seed"], msg: "no" }] } },
      422,
    ],
  ])("no seed, and it is said: %s", async (_, refusal, status) => {
    const server = await serve(({ body }, answer) =>
      body.seed === undefined ? sendJson(answer, 200, good) : sendJson(answer, status, refusal),
    );
    const notices: string[] = [];
    await ask(open(server.url, { retries: 0 }, { notice: (text) => notices.push(text) }));
    expect(server.calls).toHaveLength(2);
    expect(notices).toEqual([expect.stringMatching(/takes no seed/)]);
  });

  test("a field without a way round it", async () => {
    const server = await serve((_, answer) => sendJson(answer, 400, openAiError("logprobs is not supported")));
    const client = open(server.url);
    const call = client.chatCompletion({ ...request, logprobs: true, top_logprobs: 5 }, never);
    const error: unknown = await call.catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RejectedFieldError);
    expect((error as RejectedFieldError).rejected).toBe("logprobs");
    expect(server.calls).toHaveLength(1);
  });
});

test("log-probabilities of the first token, as a judge reads them", async () => {
  const top = ["4", "5", "3"].map((token, i) => ({ token, logprob: -0.5 - i, bytes: [...Buffer.from(token)] }));
  const content = [{ ...top[0], top_logprobs: top }];
  const server = await serve((_, answer) =>
    sendJson(
      answer,
      200,
      completion([{ content: "4", finish_reason: "length", logprobs: { content, refusal: null } }]),
    ),
  );
  const { choices } = await open(server.url).chatCompletion(
    { messages: request.messages, max_tokens: 1, temperature: 0, logprobs: true, top_logprobs: 20 },
    never,
  );
  expect(server.calls[0]!.body).toEqual({
    model: "m",
    messages: request.messages,
    max_tokens: 1,
    temperature: 0,
    logprobs: true,
    top_logprobs: 20,
  });
  expect(choices[0]!.logprobs!.content![0]!.top_logprobs).toEqual([
    { token: "4", logprob: -0.5 },
    { token: "5", logprob: -1.5 },
    { token: "3", logprob: -2.5 },
  ]);
});

describe("ends", () => {
  test("an abort rejects with its reason: in a call, in a wait, in the queue", async () => {
    const stop = new AbortController();
    const server = await serve((_, answer, before) => {
      if (before === 0) sendJson(answer, 500, {});
      else stop.abort(new Error("enough"));
    });
    const client = open(server.url, { concurrency: 2, retries: 9 }, { retryDelayMs: 60_000 });
    const waiting = client.chatCompletion(request, stop.signal);
    const calls = [waiting, client.chatCompletion(request, stop.signal), client.chatCompletion(request, stop.signal)];
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toEqual({ status: "rejected", reason: new Error("enough") });
    }
  });

  test("a proxy that is named in the environment is not asked for this machine", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, good));
    const environment = { http_proxy: `http://127.0.0.1:${await freePort()}` };
    expect(await textOf(open(server.url, { retries: 0 }, { environment }))).toBe("well");
  });
});
