import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { readModelFiles } from "../../models/index.ts";
import { testModel } from "../../models/testing/test-model.ts";
import { endpointSchema, type Message, SourceError } from "../../schema/index.ts";
import {
  completion,
  type Handler,
  type LocalServer,
  localServer,
  sendJson,
} from "../../sources/testing/local-server.ts";
import {
  embeddedFirstToken,
  endpointFirstToken,
  type FirstTokenOutcome,
  type FirstTokenReader,
} from "./first-token.ts";

const { cases } = JSON.parse(readFileSync(new URL("../fixtures/first-token.json", import.meta.url), "utf8")) as {
  cases: { messages: Message[]; probabilities: Record<string, number> }[];
};
const never = new AbortController().signal;
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function collect(
  reader: FirstTokenReader,
  questions: readonly (readonly Message[])[],
): Promise<FirstTokenOutcome[]> {
  opened.push(reader);
  const all: FirstTokenOutcome[] = [];
  for await (const outcome of reader.read(
    questions.map((messages) => ({ messages, group: "one" })),
    never,
  ))
    all.push(outcome);
  return all.sort((a, b) => a.index - b.index);
}

// Written by bench/fixtures/first_token_truth.py with transformers.
test("a model on this machine has transformers' probabilities, whatever beginning its prompts share", async () => {
  const files = await readModelFiles(await testModel("smollm2"), "SmolLM2");
  const reader = embeddedFirstToken(files, { precision: "fp32", device: "cpu" }, ["m", "M"], "judge");
  const outcomes = await collect(
    reader,
    cases.map(({ messages }) => messages),
  );
  expect(outcomes).toHaveLength(3);
  for (const [index, { probabilities }] of cases.entries()) {
    const outcome = outcomes[index]!;
    if (!("tokens" in outcome)) throw new Error(outcome.failure);
    for (const { token, logprob } of outcome.tokens)
      expect(Math.exp(logprob) / probabilities[token]!).toBeCloseTo(1, 3);
    expect(outcome.said).toBe(probabilities.m! > probabilities.M! ? "m" : "M");
  }
});

const question: readonly Message[] = [{ role: "user", content: "m or M?" }];
const first = (token: string, top: readonly (readonly [string, number | null])[]) => ({
  content: token,
  logprobs: {
    content: [
      {
        token,
        logprob: -0.1,
        bytes: null,
        top_logprobs: top.map(([each, logprob]) => ({ token: each, logprob, bytes: null })),
      },
    ],
  },
});

describe("a server", () => {
  const serve = async (handler: Handler): Promise<LocalServer> => {
    const server = await localServer(handler);
    opened.push(server);
    return server;
  };
  const reader = ({ url }: LocalServer) =>
    endpointFirstToken(
      endpointSchema.parse({ url, model: "m", retries: 1 }),
      { top: 5, temperature: 1, field: "judge", hint: "Take another." },
      { retryDelayMs: 1, environment: {} },
    );

  test("is asked for one token with the most probable ones", async () => {
    const server = await serve((_, answer) =>
      sendJson(
        answer,
        200,
        completion(
          [
            first("M", [
              ["M", -0.1],
              ["m", -2.4],
            ]),
          ],
          1,
        ),
      ),
    );
    expect(await collect(reader(server), [question])).toEqual([
      {
        index: 0,
        said: "M",
        tokens: [
          { token: "M", logprob: -0.1 },
          { token: "m", logprob: -2.4 },
        ],
      },
    ]);
    expect(server.calls[0]!.body).toMatchObject({
      messages: question,
      max_tokens: 1,
      temperature: 1,
      logprobs: true,
      top_logprobs: 5,
    });
  });

  test.each([
    ["an empty answer", { content: "", logprobs: { content: [] } }, "the judge's answer is empty"],
    ["a refusal", { content: null, refusal: "No." }, "the judge refused"],
    [
      "a log-prob that is none",
      {
        content: "m",
        logprobs: {
          content: [
            {
              token: "m",
              logprob: null,
              top_logprobs: [
                { token: "m", logprob: null },
                { token: "M", logprob: -3 },
              ],
            },
          ],
        },
      },
      "the log-prob of what the judge said is none",
    ],
    ["what a filter held back", { content: "", finish_reason: "content_filter" }, "a content filter"],
  ])("has a failure for %s", async (_, choice, words) => {
    const server = await serve((_call, answer) => sendJson(answer, 200, completion([choice])));
    expect(await collect(reader(server), [question])).toEqual([{ index: 0, failure: expect.stringContaining(words) }]);
  });

  test.each([
    ["has none", { content: "M", logprobs: null }],
    [
      "gives the token's own alone",
      { content: "M", logprobs: { content: [{ token: "M", logprob: -1, top_logprobs: [] }] } },
    ],
    [
      "says null of all",
      first("M", [
        ["M", null],
        ["m", null],
      ]),
    ],
  ])("that %s can't be a judge", async (_, choice) => {
    const server = await serve((_call, answer) => sendJson(answer, 200, completion([choice])));
    const error: unknown = await collect(reader(server), [question]).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SourceError);
    expect(error).toMatchObject({ message: expect.stringContaining("without the log-probs"), hint: "Take another." });
  });

  test("that refuses the field can't be a judge either, and one that leaves them out now and then fails then", async () => {
    const refusing = await serve((_, answer) =>
      sendJson(answer, 400, {
        error: { message: "Unknown field: logprobs", param: "logprobs", type: "invalid_request_error" },
      }),
    );
    await expect(collect(reader(refusing), [question])).rejects.toThrow(SourceError);
    const forgetful = await serve((_, answer, before) =>
      sendJson(answer, 200, completion([before === 0 ? first("m", [["m", -0.1]]) : { content: "m", logprobs: null }])),
    );
    const one = reader(forgetful);
    const outcomes = [...(await collect(one, [question])), ...(await collect(one, [question]))];
    expect(outcomes.map((outcome) => "tokens" in outcome)).toEqual([true, false]);
  });
});
