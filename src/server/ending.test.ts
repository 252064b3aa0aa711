import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { afterEach, expect, test } from "vitest";
import { type TinyServer, testKey, tinyServer } from "./testing/tiny-server.ts";

const model = "tiny-qwen2";
const opened: TinyServer[] = [];
const open = async (...args: Parameters<typeof tinyServer>) => {
  const server = await tinyServer(...args);
  opened.push(server);
  return { server, client: new OpenAI({ baseURL: server.base, apiKey: testKey, maxRetries: 0 }) };
};
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

/** The value of a metric. */
async function metric(server: TinyServer, name: string): Promise<number> {
  const answer = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${testKey}` } });
  const line = (await answer.text()).split("\n").find((text) => text.startsWith(name));
  return Number(line?.split(" ").at(-1));
}

const long = { model, prompt: [5, 6, 7], max_tokens: 240, temperature: 0, ignore_eos: true };

test("a client that goes away ends its responses, streamed or not, running or waiting", async () => {
  const { server, client } = await open(["qwen2"], { limits: { running: 2, cache_mib: 8 } });
  const gone = new AbortController();
  const asked = [true, false, true, false, true, false].map(async (stream) => {
    const answer = await client.completions.create({ ...long, stream }, { signal: gone.signal });
    if (stream) for await (const _ of answer as AsyncIterable<unknown>);
  });
  const ended = Promise.allSettled(asked);
  while ((await metric(server, "amalgam_prompts_waiting")) < 4) await sleep(5);
  gone.abort();
  await ended;
  while ((await metric(server, "amalgam_responses_running")) > 0) await sleep(5);
  expect(await metric(server, "amalgam_prompts_waiting")).toBe(0);
  const generated = await metric(server, "amalgam_generated_tokens_total");
  expect(generated).toBeLessThan(6 * 240);
  await sleep(50);
  expect(await metric(server, "amalgam_generated_tokens_total")).toBe(generated);
  expect(server.log.filter(({ status }) => status === 499)).toHaveLength(6);
  // It serves on.
  await client.completions.create({ ...long, max_tokens: 2 });
});

test("closing ends what is there, takes nothing new, and then there is no server", async () => {
  const { server, client } = await open(["qwen2"], { limits: { running: 1, cache_mib: 8 } });
  const stream = await client.completions.create({ ...long, stream: true });
  const waiting = client.completions.create({ ...long, max_tokens: 5 });
  while ((await metric(server, "amalgam_prompts_waiting")) < 1) await sleep(5);
  const closed = server.close();
  let finish: string | null | undefined;
  for await (const { choices } of stream) finish = choices[0]?.finish_reason ?? finish;
  expect(finish).toBe("length");
  expect((await waiting).choices[0]!.finish_reason).toBe("length");
  await closed;
  opened.length = 0;
  await expect(client.models.list()).rejects.toThrow(OpenAI.APIConnectionError);
});

test("a connection on which nothing was sent holds up no end", async () => {
  const { server } = await open(["qwen2"], { limits: { cache_mib: 8 } });
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  const ended = once(socket, "close");
  const begun = performance.now();
  await server.close();
  opened.length = 0;
  await ended;
  expect(performance.now() - begun).toBeLessThan(5000);
});

test("what takes longer than the drain is broken off with an error", async () => {
  const { server, client } = await open(["qwen2"], { limits: { drain_seconds: 0.05, cache_mib: 8 } });
  const stream = await client.completions.create({ ...long, stream: true });
  const pieces = stream[Symbol.asyncIterator]();
  await pieces.next();
  const closed = server.close();
  const rest = async () => {
    for (let next = await pieces.next(); !next.done; next = await pieces.next());
  };
  await expect(rest()).rejects.toThrow("shutting down");
  await closed;
  opened.length = 0;
});

test("a request that takes too long is broken off", async () => {
  const { client } = await open(["qwen2"], { limits: { seconds: 0.1, cache_mib: 8 } });
  await expect(client.completions.create(long)).rejects.toMatchObject({ status: 504, code: "timeout" });
  const rest = async () => {
    for await (const _ of await client.completions.create({ ...long, stream: true }));
  };
  await expect(rest()).rejects.toThrow("took longer");
});
