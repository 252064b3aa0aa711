import { describe, expect, test } from "vitest";
import { formatServing, streamed } from "../testing/format-serving.ts";
import { sendJson } from "../testing/local-server.ts";

const { answersTo, serve } = formatServing();

describe("plain completions", () => {
  const chat_template =
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\n{% endfor %}<|assistant|>";
  const recipe = { format: "completions", chat_template, special_tokens: { eos_token: "</s>" } } as const;
  const prompt =
    "<|system|>Be brief.</s>\n<|user|>Hi</s>\n<|assistant|>Hello.</s>\n<|user|>How are you?</s>\n<|assistant|>";
  const logprobs = { tokens: ["Fine", "."], token_logprobs: [null, -0.25], top_logprobs: [null, { ".": -0.25 }] };

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
            { token: "Fine", logprob: null },
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

  test("a template that begins the thoughts: without their end there is no answer", async () => {
    const texts = ["Hm", "Hm.</think>Fine."];
    const server = await serve((_, answer, before) =>
      sendJson(answer, 200, { choices: [{ index: 0, text: texts[before], finish_reason: "stop" }] }),
    );
    const thinking = { ...recipe, chat_template: `${chat_template}<think>{{ '\n' }}` };
    expect(await answersTo(server.url, thinking)).toMatchObject([{ text: "Fine.", extras: { reasoning: "Hm." } }]);
    expect(server.calls).toHaveLength(2);
  });

  test("a stream", async () => {
    const text = (text: string, finish_reason: string | null = null) => ({
      choices: [{ index: 0, text, finish_reason }],
    });
    const server = await serve(streamed([text("Fi"), text("ne."), text("", "stop"), "[DONE]"]));
    expect(await answersTo(server.url, { ...recipe, stream: true })).toMatchObject([{ text: "Fine.", finish: "stop" }]);
  });

  test("llama.cpp's server with n: a stream tells each choice's tokens as this one ends", async () => {
    const piece = (index: number, text: string, more: object = {}) => ({
      choices: [{ index, text, logprobs: null, finish_reason: null }],
      ...more,
    });
    const end = (index: number, completion_tokens: number) => ({
      choices: [{ index, text: "", logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 30, completion_tokens },
      timings: { predicted_n: completion_tokens },
    });
    const server = await serve(
      streamed([piece(1, "Fi"), piece(0, "Well."), piece(1, "ne."), end(1, 3), piece(0, "."), end(0, 4), "[DONE]"]),
    );
    expect(await answersTo(server.url, { ...recipe, stream: true, retries: 0 }, 2)).toMatchObject([
      { text: "Well..", promptTokens: 30, responseTokens: 4 },
      { text: "Fine.", promptTokens: 30, responseTokens: 3 },
    ]);
  });

  test("and a whole answer only the first choice's: the others are counted by their log-probs, or by their lengths", async () => {
    const content = (count: number) => ({ content: Array(count).fill({ token: "x", logprob: -1, top_logprobs: [] }) });
    const answer = (counts?: readonly number[]) => ({
      choices: ["one two", "three four five six", "seven"].map((text, index) => ({
        index,
        text,
        finish_reason: "stop",
        ...(counts ? { logprobs: content(counts[index]!) } : {}),
      })),
      usage: { prompt_tokens: 30, completion_tokens: 7, total_tokens: 37 },
      timings: { predicted_n: 7 },
    });
    const tokens = async (body: object, logprobs: boolean) => {
      const server = await serve((_, reply) => sendJson(reply, 200, body));
      return (await answersTo(server.url, { ...recipe, logprobs }, 3)).map(({ responseTokens }) => responseTokens);
    };
    expect(await tokens(answer([7, 20, 5]), true)).toEqual([7, 20, 5]);
    // 7 characters are 7 tokens, so 19 and 5 are as many.
    expect(await tokens(answer(), false)).toEqual([7, 19, 5]);
    // A sum, as other servers give it, is divided.
    expect(await tokens({ ...answer(), timings: undefined }, false)).toEqual([2, 4, 1]);
  });
});
