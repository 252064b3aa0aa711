import { describe, expect, test } from "vitest";
import { failureOf, key } from "../testing/asking.ts";
import { conversation, formatServing, streamed } from "../testing/format-serving.ts";
import { sendJson } from "../testing/local-server.ts";

const { answersTo, open, serve } = formatServing();

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
      { type: "an_event_that_may_come", of: "later" },
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
    const open = await serve(streamed(events({ 11: [{ ...events()[11], usage }] })));
    expect((await answersTo(open.url, { ...recipe, stream: true }))[0]).toMatchObject({ promptTokens: 25 });
    const untold = { 0: [{ type: "message_start", message: {} }], 11: [{ ...events()[11], usage: null }] };
    const silent = await serve(streamed(events(untold)));
    const [answer] = await answersTo(silent.url, { ...recipe, stream: true });
    const bytes = conversation.reduce((sum, { content }) => sum + content.length, 0);
    expect(answer).toMatchObject({ promptTokens: Math.ceil(bytes / 4), responseTokens: 2 });
  });

  test.each([
    ["its last event lost", events({ 12: [] }), /broke off/],
    ["a block that begins twice", events({ 7: [events()[7]!, events()[7]!] }), /out of order/],
    [
      "an overload within",
      events({ 9: [{ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }] }),
      /HTTP 503: Overloaded/,
    ],
  ])("a stream with %s is no answer", async (_, given, reason) => {
    const server = await serve(streamed(given));
    expect(await failureOf(open(server.url, { ...recipe, stream: true, retries: 0 }))).toMatch(reason);
  });
});
