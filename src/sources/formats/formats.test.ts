import { describe, expect, test } from "vitest";
import type { EndpointRecipe, Message, SampledResponse } from "../../schema/index.ts";
import { failureOf, key, never, openPeer, sampleOne, sampling } from "../testing/asking.ts";
import { completion, type Handler, openAiError, sendJson } from "../testing/local-server.ts";
import { serving } from "../testing/serving.ts";

const { closing, serve } = serving();
const open = (...given: Parameters<typeof openPeer>) => closing(openPeer(...given));

const conversation: readonly Message[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello." },
  { role: "user", content: "How are you?" },
];

/** The responses to one conversation, n of them. */
async function answersTo(url: string, recipe: Partial<EndpointRecipe>, n = 1) {
  const request = { promptId: "p", messages: conversation, indices: Array.from({ length: n }, (_, i) => i) };
  const all: unknown[] = [];
  for await (const outcome of open(url, recipe).sample([request], { ...sampling, top_k: 40, stop: ["##"] }, never))
    all.push(outcome);
  return all as SampledResponse[];
}

const streamed =
  (events: readonly (object | string)[], head: Record<string, string> = {}): Handler =>
  (_, answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream", ...head });
    for (const event of events) answer.write(`data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`);
    answer.end();
  };

const piece = (content: string, more: object = {}, index = 0) => ({
  choices: [{ index, delta: { content }, finish_reason: null, ...more }],
});
const last = (reason = "stop", index = 0) => ({ choices: [{ index, delta: {}, finish_reason: reason }] });
const usage = (completion_tokens: number) => ({
  choices: [],
  usage: { prompt_tokens: 7, completion_tokens, total_tokens: 7 + completion_tokens },
});

describe("streams of chat completions", () => {
  test("two choices, their pieces mixed, and the tokens at the end", async () => {
    const server = await serve(
      streamed([
        { choices: [{ index: 0, delta: { role: "assistant", content: "" } }] },
        piece("one "),
        piece("another ", {}, 1),
        piece("way"),
        last(),
        piece("way", {}, 1),
        last("length", 1),
        usage(6),
        "[DONE]",
      ]),
    );
    const answers = await answersTo(server.url, { stream: true }, 2);
    expect(answers.map(({ text, finish }) => [text, finish])).toEqual([
      ["one way", "stop"],
      ["another way", "length"],
    ]);
    expect(answers[0]!.promptTokens).toBe(7);
    expect(server.calls[0]!.body).toMatchObject({ stream: true, stream_options: { include_usage: true }, n: 2 });
  });

  test.each<[string, (object | string)[], RegExp]>([
    ["no end", [piece("half an ans")], /broke off/],
    ["an event cut in half", [piece("one"), '{"choices":[{"ind'], /event of the stream is damaged/],
    ["no events", [], /answer is empty/],
    ["a piece twice", [piece("so "), piece("so "), last(), usage(1), "[DONE]"], /2 pieces of text for 1 tokens/],
    ["its end twice", [piece("so"), last(), last(), "[DONE]"], /goes on after its end/],
    ["an error within", [piece("so"), { error: { message: "out of memory", code: 500 } }], /HTTP 500: out of memory/],
  ])("%s: asked again", async (_, events, reason) => {
    const server = await serve(streamed(events));
    expect(await failureOf(open(server.url, { stream: true, retries: 1 }))).toMatch(reason);
    expect(server.calls).toHaveLength(2);
    const mended = await serve((call, answer, before) =>
      (before === 0 ? streamed(events) : streamed([piece("well"), last(), "[DONE]"]))(call, answer, before),
    );
    expect(await sampleOne(open(mended.url, { stream: true }))).toMatchObject([{ text: "well" }]);
  });

  test("an event that comes again under its id counts once; comments and CRLF are read", async () => {
    const server = await serve((_, answer) => {
      const event = (id: number, value: object) => `id: ${id}\r\ndata: ${JSON.stringify(value)}\r\n\r\n`;
      answer.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      answer.end(`: ping\r\n\r\n${event(1, piece("a"))}${event(1, piece("a"))}${event(2, last())}data: [DONE]\r\n\r\n`);
    });
    expect(await sampleOne(open(server.url, { stream: true }))).toMatchObject([{ text: "a" }]);
  });

  test("a server that takes no stream_options is asked without", async () => {
    const server = await serve((call, answer, before) =>
      "stream_options" in call.body
        ? sendJson(answer, 400, openAiError("Unrecognized request argument supplied: 'stream_options'"))
        : streamed([piece("well"), last(), "[DONE]"])(call, answer, before),
    );
    expect(await sampleOne(open(server.url, { stream: true }))).toMatchObject([{ text: "well" }]);
  });

  test("one that answers whole all the same is understood", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, completion(["well"])));
    expect(await sampleOne(open(server.url, { stream: true }))).toMatchObject([{ text: "well" }]);
  });

  test("silence ends the call, slowness does not", async () => {
    const slow = await serve(async (_, answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of [...Array(8).fill(piece("x")), last()]) {
        answer.write(`data: ${JSON.stringify(event)}\n\n`);
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      answer.end();
    });
    expect(await sampleOne(open(slow.url, { stream: true, timeout_seconds: 0.3 }))).toMatchObject([
      { text: "xxxxxxxx" },
    ]);
    const silent = await serve((_, answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.write(`data: ${JSON.stringify(piece("x"))}\n\n`);
    });
    const peer = open(silent.url, { stream: true, timeout_seconds: 0.2, retries: 0 });
    expect(await failureOf(peer)).toMatch(/silent for 0.2 s/);
  });
});

describe("plain completions", () => {
  const chat_template =
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\n{% endfor %}<|assistant|>";
  const recipe = { format: "completions", chat_template, special_tokens: { eos_token: "</s>" } } as const;
  const prompt =
    "<|system|>Be brief.</s>\n<|user|>Hi</s>\n<|assistant|>Hello.</s>\n<|user|>How are you?</s>\n<|assistant|>";
  const logprobs = { tokens: ["Fine", "."], token_logprobs: [-0.5, -0.25], top_logprobs: [{ Fine: -0.5 }, null] };

  test("the template's text, and log-probs", async () => {
    const server = await serve((_, answer) =>
      sendJson(answer, 200, {
        choices: [{ index: 0, text: "Fine.", finish_reason: "stop", logprobs }],
        usage: { prompt_tokens: 30, completion_tokens: 3 },
      }),
    );
    expect(await answersTo(server.url, { ...recipe, logprobs: true })).toMatchObject([
      {
        text: "Fine.",
        promptTokens: 30,
        responseTokens: 3,
        extras: {
          logprobs: [
            { token: "Fine", logprob: -0.5 },
            { token: ".", logprob: -0.25 },
          ],
        },
      },
    ]);
    const [{ path, body }] = server.calls as [(typeof server.calls)[number]];
    expect(path).toBe("/v1/completions");
    expect(body).toMatchObject({ prompt, max_tokens: 64, top_k: 40, stop: ["##"], logprobs: 1 });
    expect(body).not.toHaveProperty("messages");
  });

  test("a stream", async () => {
    const text = (text: string, finish_reason: string | null = null) => ({
      choices: [{ index: 0, text, finish_reason }],
    });
    const server = await serve(streamed([text("Fi"), text("ne."), text("", "stop"), "[DONE]"]));
    expect(await answersTo(server.url, { ...recipe, stream: true })).toMatchObject([{ text: "Fine.", finish: "stop" }]);
  });
});

describe("Anthropic's messages", () => {
  const recipe = { format: "anthropic", headers_env: {} } as const;
  const answered = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    content: [
      { type: "thinking", thinking: "They greet me.", signature: "x" },
      { type: "text", text: "Fine." },
    ],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 20, cache_read_input_tokens: 5, output_tokens: 11 },
  };

  test("a call and its answer; one call for each response, as there is no n", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, answered));
    const answers = await answersTo(server.url, recipe, 2);
    expect(answers).toMatchObject([{ text: "Fine.", finish: "stop", promptTokens: 25, responseTokens: 11 }, {}]);
    expect(answers[0]!.extras).toEqual({ reasoning: "They greet me." });
    expect(server.calls).toHaveLength(2);
    const [{ path, headers, body }] = server.calls as [(typeof server.calls)[number]];
    expect(path).toBe("/v1/messages");
    expect(headers).toMatchObject({ "x-api-key": key, "anthropic-version": "2023-06-01" });
    expect(headers).not.toHaveProperty("authorization");
    expect(body).toEqual({
      model: "m",
      system: "Be brief.",
      messages: conversation.slice(1),
      max_tokens: 64,
      temperature: 0.8,
      top_p: 0.95,
      top_k: 40,
      stop_sequences: ["##"],
    });
  });

  const events = (more: Record<number, object[]> = {}) => {
    const all = [
      { type: "message_start", message: { ...answered, content: [], stop_reason: null } },
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "They greet" } },
      { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "x" } },
      { type: "content_block_stop", index: 0 },
      { type: "ping" },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Fi" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "ne." } },
      { type: "content_block_stop", index: 1 },
      { type: "message_delta", delta: { stop_reason: "max_tokens" }, usage: { output_tokens: 12 } },
      { type: "message_stop" },
    ];
    return all.flatMap((event, at) => more[at] ?? [event]);
  };

  test("a stream", async () => {
    const server = await serve(streamed(events()));
    expect(await answersTo(server.url, { ...recipe, stream: true })).toMatchObject([
      { text: "Fine.", finish: "length", responseTokens: 12, extras: { reasoning: "They greet" } },
    ]);
  });

  test("the tokens of a stream: what its end leaves open holds from its beginning; where none are told they are counted", async () => {
    const usage = { input_tokens: null, cache_read_input_tokens: null, output_tokens: 12 };
    const open = await serve(streamed(events({ 10: [{ ...events()[10], usage }] })));
    expect((await answersTo(open.url, { ...recipe, stream: true }))[0]).toMatchObject({ promptTokens: 25 });
    const untold = { 0: [{ type: "message_start", message: {} }], 10: [{ ...events()[10], usage: null }] };
    const silent = await serve(streamed(events(untold)));
    const [answer] = await answersTo(silent.url, { ...recipe, stream: true });
    const bytes = conversation.reduce((sum, { content }) => sum + content.length, 0);
    expect(answer).toMatchObject({ promptTokens: Math.ceil(bytes / 4), responseTokens: 2 });
  });

  test.each([
    ["its last event lost", events({ 11: [] }), /broke off/],
    ["a block that begins twice", events({ 6: [events()[6]!, events()[6]!] }), /out of order/],
    [
      "an overload within",
      events({ 8: [{ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }] }),
      /HTTP 503: Overloaded/,
    ],
  ])("a stream with %s is no answer", async (_, given, reason) => {
    const server = await serve(streamed(given));
    expect(await failureOf(open(server.url, { ...recipe, stream: true, retries: 0 }))).toMatch(reason);
  });
});

describe("Gemini's contents", () => {
  const recipe = { format: "gemini", model: "gemini-2.5-flash", key_env: "PEER_KEY" } as const;
  const candidate = (text: string, more: object = {}) => ({
    content: { role: "model", parts: [{ text: "A greeting.", thought: true }, { text }] },
    finishReason: "STOP",
    ...more,
  });
  const usageMetadata = { promptTokenCount: 9, candidatesTokenCount: 4, thoughtsTokenCount: 3, totalTokenCount: 16 };

  test("a call and its answer, two candidates", async () => {
    const logprobsResult = {
      chosenCandidates: [{ token: "Fine", logProbability: -0.5, tokenId: 3 }],
      topCandidates: [{ candidates: [{ token: "Fine", logProbability: -0.5, tokenId: 3 }] }],
    };
    const candidates = [
      candidate("Fine.", { logprobsResult }),
      candidate("Well.", { index: 1, finishReason: "MAX_TOKENS" }),
    ];
    const server = await serve((_, answer) => sendJson(answer, 200, { candidates, usageMetadata }));
    const answers = await answersTo(server.url.replace("/v1", "/v1beta"), { ...recipe, logprobs: true }, 2);
    expect(answers).toMatchObject([
      {
        text: "Fine.",
        finish: "stop",
        promptTokens: 9,
        extras: { reasoning: "A greeting.", logprobs: [{ token: "Fine", logprob: -0.5 }] },
      },
      { text: "Well.", finish: "length" },
    ]);
    expect(answers[0]!.responseTokens + answers[1]!.responseTokens).toBe(4);
    const [{ path, headers, body }] = server.calls as [(typeof server.calls)[number]];
    expect(path).toBe("/v1beta/models/gemini-2.5-flash:generateContent");
    expect(headers["x-goog-api-key"]).toBe(key);
    expect(body).toEqual({
      systemInstruction: { parts: [{ text: "Be brief." }] },
      contents: [
        { role: "user", parts: [{ text: "Hi" }] },
        { role: "model", parts: [{ text: "Hello." }] },
        { role: "user", parts: [{ text: "How are you?" }] },
      ],
      generationConfig: {
        maxOutputTokens: 64,
        candidateCount: 2,
        temperature: 0.8,
        topP: 0.95,
        topK: 40,
        stopSequences: ["##"],
        seed: expect.any(Number),
        responseLogprobs: true,
      },
    });
  });

  test("a stream", async () => {
    const part = (text: string) => ({ candidates: [{ content: { parts: [{ text }], role: "model" } }], usageMetadata });
    const server = await serve(streamed([part("Fi"), part("ne"), { candidates: [candidate(".")], usageMetadata }]));
    expect(await answersTo(server.url, { ...recipe, stream: true })).toMatchObject([{ text: "Fine.", finish: "stop" }]);
    expect(server.calls[0]!.path).toBe("/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
  });

  test("no several candidates: one call each", async () => {
    const refusal = {
      error: { code: 400, message: "Multiple candidates is not enabled for this model", status: "INVALID_ARGUMENT" },
    };
    const server = await serve(({ body }, answer) =>
      (body.generationConfig as { candidateCount?: number }).candidateCount === undefined
        ? sendJson(answer, 200, { candidates: [candidate("Fine.")], usageMetadata })
        : sendJson(answer, 400, refusal),
    );
    expect(await answersTo(server.url, recipe, 2)).toHaveLength(2);
    expect(server.calls).toHaveLength(3);
  });

  test.each([
    ["a blocked prompt", 200, { promptFeedback: { blockReason: "SAFETY" }, usageMetadata }, /content filter/],
    ["an answer held back", 200, { candidates: [{ finishReason: "SAFETY", index: 0 }] }, /content filter/],
  ])("%s is a failure", async (_, status, given, reason) => {
    const server = await serve((_call, answer) => sendJson(answer, status, given));
    expect(await failureOf(open(server.url, { ...recipe, retries: 0 }))).toMatch(reason);
  });

  test("a wrong key ends the sampling; a quota's own delay is waited for", async () => {
    const invalid = {
      error: {
        code: 400,
        message: "API key not valid.",
        status: "INVALID_ARGUMENT",
        details: [{ "@type": "x", reason: "API_KEY_INVALID" }],
      },
    };
    const wrong = await serve((_, answer) => sendJson(answer, 400, invalid));
    await expect(answersTo(wrong.url, recipe)).rejects.toThrow(/does not accept the key in PEER_KEY/);
    const waits: number[] = [];
    const busy = {
      error: {
        code: 429,
        message: "quota",
        status: "RESOURCE_EXHAUSTED",
        details: [{ "@type": "x", retryDelay: "34s" }],
      },
    };
    const server = await serve((_call, answer, before) =>
      before === 0 ? sendJson(answer, 429, busy) : sendJson(answer, 200, { candidates: [candidate("Fine.")] }),
    );
    await sampleOne(open(server.url, recipe, { wait: async (ms) => void waits.push(ms) }));
    expect(waits[0]).toBeGreaterThanOrEqual(34_000);
  });
});

test.each([
  ["anthropic", { presence_penalty: 0.5 }],
  ["gemini", { logit_bias: { "3": 1 } }],
] as const)("what %s has no field for is refused before any call", async (format, given) => {
  const server = await serve((_, answer) => sendJson(answer, 500, {}));
  const source = open(server.url, { format });
  const request = { promptId: "p", messages: conversation, indices: [0] };
  const draw = async () => {
    for await (const _ of source.sample([request], { ...sampling, ...given }, never));
  };
  const [field] = Object.keys(given);
  await expect(draw()).rejects.toThrow(new RegExp(`does not take the request's ${field} \\(${format} calls`));
  expect(server.calls).toHaveLength(0);
});

describe("thoughts", () => {
  test.each([
    ["a field of vLLM and DeepSeek", { content: "Fine.", reasoning_content: "Hm." }],
    ["a field of OpenRouter and Ollama", { content: "Fine.", reasoning: "Hm." }],
    ["a block in the text", { content: "<think>\nHm.\n</think>\n\nFine." }],
    ["a block that the template began", { content: "Hm.\n</think>\n\nFine." }],
    [
      "Mistral's parts",
      {
        content: [
          { type: "thinking", thinking: [{ type: "text", text: "Hm." }] },
          { type: "text", text: "Fine." },
        ],
      },
    ],
  ])("%s", async (_, message) => {
    const server = await serve((_call, answer) =>
      sendJson(answer, 200, {
        choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", ...message } }],
      }),
    );
    expect(await sampleOne(open(server.url))).toMatchObject([{ text: "Fine.", extras: { reasoning: "Hm." } }]);
  });

  test("thoughts cut off by the limit are no answer; `keep` leaves all as it came", async () => {
    const server = await serve((_, answer) =>
      sendJson(answer, 200, completion([{ content: "<think>Hm", finish_reason: "length" }])),
    );
    expect(await failureOf(open(server.url))).toMatch(/max_tokens ran out/);
    expect(await sampleOne(open(server.url, { thinking: "keep" }))).toMatchObject([{ text: "<think>Hm" }]);
  });
});

test("Azure's URL and header, further fields and headers", async () => {
  const server = await serve((_, answer) => sendJson(answer, 200, completion(["well"])));
  const url = server.url.replace("/v1", "/openai/deployments/gpt?api-version=2024-10-21");
  const source = open(
    url,
    { body: { reasoning_effort: "low" }, headers_env: { "HTTP-Referer": "SITE" } },
    { environment: { PEER_KEY: key, SITE: "https://here.test" } },
  );
  await sampleOne(source);
  const [{ path, headers, body }] = server.calls as [(typeof server.calls)[number]];
  expect(path).toBe("/openai/deployments/gpt/chat/completions?api-version=2024-10-21");
  expect(headers).toMatchObject({ "api-key": key, "http-referer": "https://here.test" });
  expect(headers).not.toHaveProperty("authorization");
  expect(body).toMatchObject({ reasoning_effort: "low" });
});

test("what changes the answers changes the identity, and nothing else does", () => {
  const identity = (recipe: Partial<EndpointRecipe> = {}) => open("http://127.0.0.1:9/v1", recipe).identity;
  const chat_template = "{{ messages[-1].content }}";
  const others = [
    identity(),
    identity({ model: "other" }),
    identity({ format: "anthropic" }),
    identity({ format: "completions", chat_template }),
    identity({ body: { min_p: 0.1 } }),
    identity({ thinking: "keep" }),
  ];
  expect(new Set(others).size).toBe(others.length);
  expect(identity({ stream: true, concurrency: 3, logprobs: true, price: { input: 1, output: 2 } })).toBe(others[0]);
});
