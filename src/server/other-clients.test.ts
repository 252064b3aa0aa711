import { spawnSync } from "node:child_process";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endpointSchema, type SampledResponse } from "../schema/index.ts";
import { openEndpoint } from "../sources/index.ts";
import { type TinyServer, testKey, tinyServer } from "./testing/tiny-server.ts";

const model = "tiny-qwen2";
let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer(["qwen2"]);
});
afterAll(() => server.close());

describe("the AI SDK's OpenAI-compatible provider", () => {
  const provider = (apiKey = testKey) =>
    createOpenAICompatible({ name: "amalgam", baseURL: server.base, apiKey, includeUsage: true });
  const asked = { prompt: "Hello", maxOutputTokens: 10, seed: 3, temperature: 1, maxRetries: 0 };

  test("gives a text, whole and streamed the same, and what was used", async () => {
    const whole = await generateText({ ...asked, model: provider()(model) });
    expect(whole.text).not.toBe("");
    const streamed = streamText({ ...asked, model: provider()(model) });
    let text = "";
    for await (const piece of streamed.textStream) text += piece;
    expect(text).toBe(whole.text);
    expect(await streamed.usage).toMatchObject({ inputTokens: whole.usage.inputTokens });
    expect(["stop", "length"]).toContain(await streamed.finishReason);
  });

  test("gives embeddings", async () => {
    const { embeddings } = await embedMany({ model: provider().embeddingModel(model), values: ["one", "two"] });
    expect(embeddings.map(({ length }) => length)).toEqual([32, 32]);
  });

  test("throws its own error, with the server's words", async () => {
    const failing = generateText({ ...asked, model: provider("another-key-0123456789")(model) });
    await expect(failing).rejects.toThrow(APICallError);
    await expect(failing).rejects.toMatchObject({ statusCode: 401, isRetryable: false });
    await expect(failing).rejects.toThrow("wants a key");
  });
});

describe("curl", () => {
  const curl = (...words: string[]) =>
    spawnCurl(["-sS", "-H", `Authorization: Bearer ${testKey}`, "-w", "\n%{http_code}", ...words]);
  const spawnCurl = async (words: string[]) => {
    const { execFile } = await import("node:child_process");
    return new Promise<[body: string, status: string]>((resolve, reject) =>
      execFile("curl", words, (error, stdout) => {
        if (error) return reject(error);
        const at = stdout.lastIndexOf("\n");
        resolve([stdout.slice(0, at), stdout.slice(at + 1)]);
      }),
    );
  };
  const absent = spawnSync("curl", ["--version"]).status !== 0;

  test.skipIf(absent)("reads a stream, and is told what it forgot", async () => {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], max_tokens: 5, stream: true });
    const [events, status] = await curl(`${server.base}/chat/completions`, "--json", body);
    expect(status).toBe("200");
    expect(events.trim().split("\n\n").at(-1)).toBe("data: [DONE]");
    const [refusal, refused] = await curl(`${server.base}/chat/completions`, "-d", body);
    expect(refused).toBe("415");
    expect(JSON.parse(refusal)).toMatchObject({ error: { message: expect.stringContaining("application/json") } });
  });
});

describe("the sources room", () => {
  test("samples from this server as from any other: n in one call, each once", async () => {
    const recipe = endpointSchema.parse({ url: server.base, model, key_env: "KEY", concurrency: 4 });
    const source = openEndpoint("tiny", recipe, { environment: { KEY: testKey } });
    const requests = Array.from({ length: 6 }, (_, i) => ({
      promptId: `p${i}`,
      messages: [{ role: "user" as const, content: `question ${i}` }],
      indices: [0, 1, 2],
    }));
    const sampling = { temperature: 1, top_p: 0.95, top_k: 20, max_tokens: 8, stop: ["zzz"], seed: 1 };
    const drawn = [];
    for await (const outcome of source.sample(requests, sampling, new AbortController().signal)) drawn.push(outcome);
    await source.close();
    expect(drawn).toHaveLength(18);
    const names = drawn.map(({ promptId, index }) => `${promptId}/${index}`);
    expect(new Set(names).size).toBe(18);
    for (const outcome of drawn as SampledResponse[]) {
      expect(outcome.promptTokens).toBeGreaterThan(5);
      expect(["stop", "length"]).toContain(outcome.finish);
    }
    const calls = server.log.filter(({ route, promptTokens }) => route === "/v1/chat/completions" && promptTokens);
    expect(calls.length).toBeGreaterThanOrEqual(6);
  });
});
