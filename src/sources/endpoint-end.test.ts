import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { describeError } from "../schema/index.ts";
import { collect, failureOf, key, never, openPeer, prompts, sampleOne, sampling } from "./testing/asking.ts";
import { completion, openAiError, sendJson, strict } from "./testing/local-server.ts";
import { serving } from "./testing/serving.ts";

const { closing, serve } = serving();
const open = (...given: Parameters<typeof openPeer>) => closing(openPeer(...given));

describe("the key is shown nowhere", () => {
  const forms = `${key} ${encodeURIComponent(key)} ${Buffer.from(key).toString("base64")} Bearer ${key}`;
  const holds = (shown: string): boolean =>
    [key, key.slice(8), encodeURIComponent(key)].some((form) => shown.includes(form));

  test.each([400, 401, 403, 404, 418, 429, 500])("a server that echoes it with HTTP %i", async (status) => {
    const server = await serve((_, answer) => sendJson(answer, status, openAiError(forms, key, key), { "x-key": key }));
    const notices: string[] = [];
    const source = open(server.url, { retries: 1 }, { notice: (text) => notices.push(text) });
    let seen: unknown;
    try {
      seen = await sampleOne(source);
    } catch (error) {
      seen = [error, describeError(error), (error as Error).stack, (error as Error).cause];
    }
    const shown = inspect([seen, source, notices], { depth: 12, showHidden: true });
    expect(shown).toContain(server.url);
    expect(holds(shown)).toBe(false);
  });

  test("a completion that repeats it is not kept", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, completion([`your key is ${key}`])));
    const failure = await failureOf(open(server.url));
    expect(failure).toMatch(/repeats the endpoint's key/);
    expect(holds(failure)).toBe(false);
  });

  test("a finish reason that repeats it", async () => {
    const server = await serve((_, answer) =>
      sendJson(answer, 200, completion([{ content: "x", finish_reason: key }])),
    );
    const failure = await failureOf(open(server.url));
    expect(failure).toContain("[secret]");
    expect(holds(failure)).toBe(false);
  });
});

describe("an end from outside", () => {
  test("a hang never blocks: the abort ends the iteration, quietly, and closes the calls", async () => {
    const closed: Promise<unknown>[] = [];
    const stop = new AbortController();
    const server = await serve((call, answer, before) => {
      if (before === 0) return strict(call, answer, before);
      closed.push(new Promise((resolve) => answer.once("close", resolve)));
      if (before === 2) stop.abort();
    });
    const outcomes = await collect(open(server.url, { concurrency: 2 }).sample(prompts(50, 1), sampling, stop.signal));
    expect(outcomes).toHaveLength(1);
    await Promise.all(closed);
    expect(server.calls).toHaveLength(3);
  });

  test("during a wait", async () => {
    const stop = new AbortController();
    const server = await serve((_, answer) => {
      sendJson(answer, 429, {}, { "retry-after": "500" });
      setTimeout(() => stop.abort(), 20);
    });
    expect(await collect(open(server.url).sample(prompts(5, 2), sampling, stop.signal))).toEqual([]);
  });

  test("before the start", async () => {
    const server = await serve(strict);
    expect(await collect(open(server.url).sample(prompts(5, 2), sampling, AbortSignal.abort()))).toEqual([]);
    expect(server.calls).toHaveLength(0);
  });

  test("a consumer that leaves takes the open calls with it", async () => {
    const closed: Promise<unknown>[] = [];
    const server = await serve((call, answer, before) => {
      if (before === 1) return strict(call, answer, before);
      closed.push(new Promise((resolve) => answer.once("close", resolve)));
    });
    for await (const _ of open(server.url, { concurrency: 4 }).sample(prompts(50, 1), sampling, never)) break;
    await Promise.all(closed);
    expect(server.calls.length).toBeLessThan(10);
  });
});
