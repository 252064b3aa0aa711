import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type EndpointRecipe, endpointSchema } from "../schema/index.ts";
import { openBudget } from "./budget.ts";
import type { EndpointOptions } from "./calls.ts";
import { type EndpointClient, openEndpointClient } from "./client.ts";
import { RejectedFieldError } from "./client-errors.ts";
import { completion, openAiError, sendJson } from "./testing/local-server.ts";
import { serving } from "./testing/serving.ts";

const never = new AbortController().signal;
const request = { messages: [{ role: "user", content: "hello" }], max_tokens: 8, seed: 7 } as const;
/** 19 tokens of the prompt and 6 of the response. */
const good = completion(["well"], 6);
const callTokens = 25;
/** What a call is counted for before it is made. */
const mostTokens = { inputTokens: 256 + 16 + "hello".length, outputTokens: 8 };
const nothing = { inputTokens: 0, outputTokens: 0, money: 0 };

const { closing, serve } = serving();
const open = (url: string, recipe: Partial<EndpointRecipe> = {}, options: EndpointOptions = {}): EndpointClient => {
  const whole = endpointSchema.parse({ url, model: "m", retries: 0, timeout_seconds: 20, ...recipe });
  return closing(openEndpointClient(whole, { environment: {}, retryDelayMs: 1, ...options }));
};
const ask = (client: EndpointClient) => client.chatCompletion(request, never);
const askAtOnce = (client: EndpointClient, calls: number) =>
  Promise.allSettled(Array.from({ length: calls }, () => ask(client)));

test("a pause that is over is not waited for by a call that was in the queue meanwhile", async () => {
  const server = await serve(async (_, answer, before) => {
    if (before > 0) await sleep(300);
    const paused = { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "50ms" };
    sendJson(answer, 200, good, before === 0 ? paused : {});
  });
  const waits: number[] = [];
  const wait = async (ms: number) => {
    waits.push(ms);
    await sleep(ms);
  };
  // Eight at once: the ninth comes into the pause, the others long after it.
  await askAtOnce(open(server.url, {}, { wait }), 12);
  expect(server.calls).toHaveLength(12);
  expect(waits).toHaveLength(1);
});

test("of calls that begin together, the tokens of each count for the pace", async () => {
  const server = await serve((_, answer) => sendJson(answer, 200, good));
  const waits: number[] = [];
  const client = open(server.url, { tokens_per_minute: 60 }, { wait: async (ms) => void waits.push(ms) });
  await askAtOnce(client, 8);
  await ask(client);
  // A token a second; one second is saved up.
  expect(waits.at(-1)).toBeGreaterThan(8 * callTokens * 1000 - 5000);
});

test("calls that wait for a place when the server goes down are held back, too", async () => {
  const server = await serve(async (_, answer) => {
    await sleep(20);
    sendJson(answer, 500, {});
  });
  const stop = new AbortController();
  const client = open(server.url, { retries: 5 }, { retryDelayMs: 60_000, wait: async () => {} });
  const calls = Array.from({ length: 64 }, () => client.chatCompletion(request, stop.signal));
  const ends = Promise.allSettled(calls);
  await sleep(500);
  // Eight fail together; those that took their places had theirs before the breaker opened.
  expect(server.calls.length).toBeLessThanOrEqual(16);
  stop.abort(new Error("enough"));
  await ends;
});

test("that a server is down is told once, and that it is back", async () => {
  const server = await serve((_, answer, before) =>
    before < 20 ? sendJson(answer, 500, openAiError("loading")) : sendJson(answer, 200, good),
  );
  const notices: string[] = [];
  const notice = (text: string) => void notices.push(text);
  const client = open(server.url, { retries: 20, give_up_seconds: 60 }, { retryDelayMs: 1, notice });
  await askAtOnce(client, 8);
  expect(notices).toEqual([
    expect.stringMatching(/gives nothing \(HTTP 500: loading\); .* given up after 60 seconds$/),
    expect.stringMatching(/: answers again$/),
  ]);
});

test.each([
  ["max_tokens", {}, "'max_tokens' or 'max_completion_tokens' is too large"],
  ["stream_options", { stream: true, body: { stream_options: { include_usage: true } } }, "Unknown 'stream_options'"],
])("a server that refuses %s either way is asked twice, not for ever", async (field, recipe, words) => {
  const server = await serve((_, answer, before) =>
    before < 10 ? sendJson(answer, 400, openAiError(words, null, field)) : sendJson(answer, 200, good),
  );
  await expect(ask(open(server.url, recipe))).rejects.toThrow(RejectedFieldError);
  expect(server.calls).toHaveLength(2);
});

test("the second call beside a slow one is set aside in the budget, and counted whole", async () => {
  const server = await serve(async (_, answer, before) => {
    if (before === 0) await sleep(2000);
    sendJson(answer, 200, good);
  });
  const recipe = { hedge_after_seconds: 0.05 };
  const budget = openBudget({ tokens: 10_000 }, nothing);
  await ask(open(server.url, recipe, { budget }));
  // The one that answered, and all that the one that was dropped may have come to.
  expect(budget.spent()).toMatchObject({ inputTokens: 19 + mostTokens.inputTokens, outputTokens: 6 + 8 });
  const scarce = openBudget({ tokens: mostTokens.inputTokens + 8 + 100 }, nothing);
  await expect(ask(open(server.url, recipe, { budget: scarce }))).rejects.toThrow(/budget is used up/);
  expect(server.calls).toHaveLength(2);
});

test("when the budget is used up, the calls under way are waited for: they are paid", async () => {
  const server = await serve(async (_, answer) => {
    await sleep(100);
    sendJson(answer, 200, good);
  });
  const budget = openBudget({ tokens: 1000 }, nothing);
  const client = open(server.url, {}, { budget });
  const ends: string[] = [];
  await Promise.all([
    ask(client).then(() => ends.push("answer")),
    ask(client).then(() => ends.push("answer")),
    client.chatCompletion({ ...request, max_tokens: 2000 }, never).catch((error: Error) => ends.push(error.message)),
  ]);
  expect(ends).toEqual(["answer", "answer", expect.stringMatching(/budget is used up: 50 of 1000 tokens/)]);
});
