import { describe, expect, test } from "vitest";
import type { SampledResponse } from "../../schema/index.ts";
import { failureOf, sampleOne, thrown } from "../testing/asking.ts";
import { formatServing, streamed } from "../testing/format-serving.ts";
import { sendJson } from "../testing/local-server.ts";

const { open, serve } = formatServing();

/** Answers as the servers' documents and sources show them, with what is odd in each. */
const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 };
const whole = (message: object, more: object = {}, used: object = usage) => ({
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop", ...more }],
  usage: used,
});
const list = (logprob: number | null) => ({ content: [{ token: "Fine", bytes: [70], logprob, top_logprobs: [] }] });

describe("whole answers", () => {
  test.each<[string, object, Partial<SampledResponse>]>([
    [
      "vLLM: thoughts under both names, fields of its own",
      {
        ...whole(
          {
            content: "Fine.",
            reasoning: "Hm.",
            reasoning_content: "Hm.",
            refusal: null,
            annotations: null,
            tool_calls: [],
          },
          { logprobs: null, stop_reason: null, token_ids: null },
          { ...usage, prompt_tokens_details: null },
        ),
        prompt_logprobs: null,
        kv_transfer_params: null,
      },
      { text: "Fine.", responseTokens: 4, extras: { reasoning: "Hm." } },
    ],
    [
      "SGLang: an empty field of thoughts beside the other",
      whole({ content: "Fine.", reasoning_content: "", reasoning: "Hm." }, { matched_stop: 151645 }),
      { text: "Fine.", extras: { reasoning: "Hm." } },
    ],
    [
      "llama.cpp: a token that could not be",
      { ...whole({ content: "Fine." }, { logprobs: list(null) }), timings: { predicted_n: 4 } },
      { text: "Fine.", extras: { logprobs: [{ token: "Fine", logprob: null }] } },
    ],
    [
      "Together: log-probs in columns, its own word for the end",
      whole(
        { content: "Fine.", tool_calls: [] },
        {
          finish_reason: "eos",
          seed: 7,
          logprobs: { token_ids: [1, 2], tokens: ["Fine", "."], token_logprobs: [-0.5, null] },
        },
      ),
      {
        finish: "stop",
        extras: {
          logprobs: [
            { token: "Fine", logprob: -0.5 },
            { token: ".", logprob: null },
          ],
        },
      },
    ],
    [
      "Azure: what its filters say of prompt and answer",
      {
        ...whole({ content: "Fine." }, { content_filter_results: { hate: { filtered: false, severity: "safe" } } }),
        prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }],
      },
      { text: "Fine.", finish: "stop" },
    ],
    [
      "xAI and Google's compatible server: thoughts are in the total only",
      whole(
        { content: "Fine." },
        {},
        {
          prompt_tokens: 9,
          completion_tokens: 4,
          total_tokens: 33,
          completion_tokens_details: { reasoning_tokens: 20 },
        },
      ),
      { text: "Fine.", promptTokens: 9, responseTokens: 4 },
    ],
    ["Ollama: no usage", { ...whole({ content: "Fine." }), usage: undefined }, { text: "Fine.", responseTokens: 2 }],
  ])("%s", async (_, answer, expected) => {
    const server = await serve((_call, response) => sendJson(response, 200, answer));
    expect(await sampleOne(open(server.url, { logprobs: true }))).toMatchObject([expected]);
  });
});

const piece = (delta: object, more: object = {}) => ({ choices: [{ index: 0, delta, finish_reason: null, ...more }] });
const last = piece({}, { finish_reason: "stop" });

describe("streams", () => {
  test.each<[string, (object | string)[], Partial<SampledResponse>]>([
    [
      "vLLM: the role first, thoughts in pieces, the tokens in an event of their own",
      [
        piece({ role: "assistant", content: "" }, { logprobs: null }),
        piece({ reasoning: "H" }),
        piece({ reasoning: "m." }),
        piece({ content: "Fine." }),
        piece({ content: "" }, { finish_reason: "stop", stop_reason: null }),
        { choices: [], usage },
      ],
      { text: "Fine.", responseTokens: 4, extras: { reasoning: "Hm." } },
    ],
    [
      "Azure: filters before the first choice and, without a delta, after the last",
      [
        { choices: [], created: 0, id: "", model: "", object: "", prompt_filter_results: [{ prompt_index: 0 }] },
        piece({ content: "Fine." }),
        last,
        {
          choices: [
            { index: 0, finish_reason: null, content_filter_results: {}, content_filter_offsets: { check_offset: 9 } },
          ],
        },
      ],
      { text: "Fine.", finish: "stop" },
    ],
    [
      "TGI: the end comes with a piece; xAI: more pieces of thoughts than tokens",
      [
        ...Array(6).fill(piece({ reasoning_content: "m" })),
        piece({ content: "Fine." }, { finish_reason: "length" }),
        { choices: [], usage },
      ],
      { text: "Fine.", finish: "length" },
    ],
    [
      "Together: a number for a log-prob",
      [piece({ token_id: 3, content: "Fine." }, { logprobs: -0.5 }), last],
      { text: "Fine." },
    ],
  ])("%s", async (_, events, expected) => {
    const server = await serve(streamed([...events, "[DONE]"]));
    expect(await sampleOne(open(server.url, { stream: true, logprobs: true }))).toMatchObject([expected]);
  });

  test("OpenRouter: comments while it waits, and an error in the middle", async () => {
    const error = { code: "server_error", message: "Provider disconnected" };
    const broken = {
      id: "g",
      provider: "p",
      error,
      choices: [{ index: 0, delta: { content: "" }, finish_reason: "error" }],
    };
    const server = await serve((_, answer, before) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.write(": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n");
      const events = before === 0 ? [piece({ content: "Fi" }), broken] : [piece({ content: "Fine." }), last];
      answer.end(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
    });
    expect(await sampleOne(open(server.url, { stream: true }))).toMatchObject([{ text: "Fine." }]);
    expect(server.calls).toHaveLength(2);
  });
});

describe("refusals", () => {
  const context = /don't fit into the model's context/;
  test.each<[string, number, object | object[], RegExp]>([
    [
      "vLLM, without a frame",
      400,
      {
        object: "error",
        message: "This model's maximum context length is 8 tokens.",
        type: "BadRequestError",
        param: null,
        code: 400,
      },
      context,
    ],
    [
      "SGLang",
      400,
      {
        object: "error",
        message: "The input (9 tokens) is longer than the model's context length (8 tokens).",
        type: "BadRequestError",
        param: null,
        code: 400,
      },
      context,
    ],
    [
      "llama.cpp",
      400,
      {
        error: {
          code: 400,
          message: "the request exceeds the available context size, try increasing it",
          type: "exceed_context_size_error",
          n_prompt_tokens: 9,
          n_ctx: 8,
        },
      },
      context,
    ],
    [
      "TGI",
      422,
      {
        error: "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: 9",
        error_type: "validation",
      },
      context,
    ],
    [
      "Anthropic",
      400,
      { type: "error", error: { type: "invalid_request_error", message: "prompt is too long: 9 tokens > 8 maximum" } },
      context,
    ],
    [
      "Azure's filter",
      400,
      {
        error: {
          message: "The response was filtered",
          type: null,
          param: "prompt",
          code: "content_filter",
          status: 400,
          innererror: { code: "ResponsibleAIPolicyViolation" },
        },
      },
      /content filter/,
    ],
    [
      "OpenRouter's moderation",
      403,
      { error: { code: 403, message: "flagged", metadata: { reasons: ["violence"], flagged_input: "x" } } },
      /content filter/,
    ],
  ])("%s: this prompt alone is given up, at once", async (_, status, answer, reason) => {
    const server = await serve((_call, response) => sendJson(response, status, answer));
    expect(await failureOf(open(server.url))).toMatch(reason);
    expect(server.calls).toHaveLength(1);
  });

  test.each<[string, number, object | object[]]>([
    ["Anthropic", 529, { type: "error", error: { type: "overloaded_error", message: "Overloaded" }, request_id: "r" }],
    ["llama.cpp, while it loads", 503, { error: { code: 503, message: "Loading model", type: "unavailable_error" } }],
    ["OpenRouter, in a whole answer", 200, { error: { code: 502, message: "no provider" } }],
  ])("%s: asked again", async (_, status, answer) => {
    const server = await serve((_call, response, before) =>
      before === 0 ? sendJson(response, status, answer) : sendJson(response, 200, whole({ content: "Fine." })),
    );
    expect(await sampleOne(open(server.url))).toMatchObject([{ text: "Fine." }]);
  });

  test.each<[string, number, object | object[], RegExp]>([
    [
      "Ollama",
      404,
      { error: { message: "model 'm' not found", type: "not_found_error", param: null, code: null } },
      /has no model "m"/,
    ],
    [
      "Google's compatible server, in a list",
      400,
      [{ error: { code: 400, message: "x", details: [{ reason: "API_KEY_INVALID" }] } }],
      /does not accept the key/,
    ],
  ])("%s: nothing goes well before a person has done something", async (_, status, answer, message) => {
    const server = await serve((_call, response) => sendJson(response, status, answer));
    expect((await thrown(open(server.url))).message).toMatch(message);
  });

  test("TGI within a stream: what is not valid is not asked again, what is too much is", async () => {
    const bad = { error: { message: "Input validation error: bad", http_status_code: 422 } };
    const server = await serve(streamed([bad]));
    expect(await failureOf(open(server.url, { stream: true }))).toMatch(/HTTP 422/);
    expect(server.calls).toHaveLength(1);
    const busy = await serve(streamed([{ error: "Model is overloaded", error_type: "overloaded" }]));
    expect(await failureOf(open(busy.url, { stream: true, retries: 1 }))).toMatch(/HTTP 503/);
    expect(busy.calls).toHaveLength(2);
  });
});

test("llama.cpp's plain completions: log-probs as a list", async () => {
  const answer = { choices: [{ index: 0, text: "Fine", finish_reason: "stop", logprobs: list(-0.5) }], usage };
  const server = await serve((_, response) => sendJson(response, 200, answer));
  const recipe = { format: "completions", chat_template: "{{ messages[-1].content }}", logprobs: true } as const;
  expect(await sampleOne(open(server.url, recipe))).toMatchObject([
    { text: "Fine", extras: { logprobs: [{ token: "Fine", logprob: -0.5 }] } },
  ]);
});
