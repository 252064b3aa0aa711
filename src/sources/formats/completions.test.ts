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
});
