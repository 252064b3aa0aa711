import { describe, expect, test } from "vitest";
import { failureOf, key, sampleOne } from "../testing/asking.ts";
import { formatServing, streamed } from "../testing/format-serving.ts";
import { sendJson } from "../testing/local-server.ts";

const { answersTo, open, serve } = formatServing();

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
    ["an answer held back", 200, { candidates: [{ finishReason: "RECITATION", index: 0 }] }, /content filter/],
    ["an answer that ended otherwise", 200, { candidates: [candidate("Fi", { finishReason: "OTHER" })] }, /"OTHER"/],
    [
      "a prompt that is too long",
      400,
      {
        error: {
          code: 400,
          message: "The input token count (9) exceeds the maximum number of tokens allowed (8).",
          status: "INVALID_ARGUMENT",
        },
      },
      /don't fit into the model's context/,
    ],
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
