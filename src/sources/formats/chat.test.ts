import { describe, expect, test } from "vitest";
import { failureOf, sampleOne } from "../testing/asking.ts";
import { formatServing, streamed } from "../testing/format-serving.ts";
import { completion, openAiError, sendJson } from "../testing/local-server.ts";

const { answersTo, open, serve } = formatServing();

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

  test("llama.cpp's server: each choice's tokens are told right after its end", async () => {
    const server = await serve(
      streamed([
        piece("a ", {}, 1),
        piece("on", {}, 0),
        piece("n", {}, 1),
        piece("other", {}, 1),
        last("length", 1),
        usage(3),
        piece("e", {}, 0),
        last(),
        usage(2),
        "[DONE]",
      ]),
    );
    expect(await answersTo(server.url, { stream: true, retries: 0 }, 2)).toMatchObject([
      { text: "one", finish: "stop", promptTokens: 7, responseTokens: 2 },
      { text: "a nother", finish: "length", promptTokens: 7, responseTokens: 3 },
    ]);
  });

  test("of two choices, a piece twice is seen, whether their tokens are told apart or together", async () => {
    const twice = [piece("so "), piece("so "), last()];
    const other = [piece("well", {}, 1), last("stop", 1)];
    for (const events of [
      [...twice, usage(1), ...other, usage(1)],
      [...twice, ...other, usage(2)],
      [...twice, usage(1), ...other, usage(1), usage(2)],
    ]) {
      const server = await serve(streamed([...events, "[DONE]"]));
      const [one] = await answersTo(server.url, { stream: true, retries: 0 }, 2);
      expect(one).toMatchObject({ failure: expect.stringMatching(/3 pieces of text for 2 tokens/) });
    }
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
