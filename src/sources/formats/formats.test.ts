import { describe, expect, test } from "vitest";
import type { EndpointRecipe } from "../../schema/index.ts";
import { failureOf, key, never, sampleOne, sampling } from "../testing/asking.ts";
import { conversation, formatServing } from "../testing/format-serving.ts";
import { completion, sendJson } from "../testing/local-server.ts";

const { open, serve } = formatServing();

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
