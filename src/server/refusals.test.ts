import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TinyServer, tinyServer } from "./testing/tiny-server.ts";

let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer(["qwen2"], { keyVariables: [], limits: { body_mib: 0.29, bodies_mib: 0.2, cache_mib: 8 } });
});
afterAll(() => server.close());

function send(path: string, headers: Record<string, string>, body?: string) {
  return new Promise<{ status: number; error: Record<string, unknown>; retryAfter: string | undefined }>(
    (resolve, reject) => {
      const sent = request(`${server.url}${path}`, { method: body ? "POST" : "GET", headers }, (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        answer.on("end", () => {
          const { error = {} } = JSON.parse(text) as { error?: Record<string, unknown> };
          resolve({ status: answer.statusCode!, error, retryAfter: answer.headers["retry-after"] });
        });
      });
      sent.on("error", reject).end(body);
    },
  );
}
const json = { "content-type": "application/json" };

test("without a key, a page under another name can't call the server of this machine", async () => {
  for (const host of ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:80"])
    expect(await send("/v1/models", { host })).toMatchObject({ status: 200 });
  for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.0.2.1"])
    expect(await send("/v1/models", { host })).toMatchObject({ status: 403, error: { type: "permission_error" } });
});

test("a text that no context holds is refused before its tokens are made", async () => {
  const body = JSON.stringify({ model: "tiny-qwen2", prompt: "x".repeat(100_000) });
  expect(await send("/v1/completions", json, body)).toMatchObject({
    status: 400,
    error: { code: "context_length_exceeded", message: expect.stringContaining("100000 characters") },
  });
});

test("a body beyond the limit is refused in whole bytes", async () => {
  const body = JSON.stringify({ model: "tiny-qwen2", prompt: "x".repeat(310_000) });
  expect(await send("/v1/completions", json, body)).toMatchObject({
    status: 413,
    error: { message: expect.stringContaining("more than 304087 bytes") },
  });
});

test("bodies together hold no more than the limit, and none when they are answered", async () => {
  const body = JSON.stringify({ model: "tiny-qwen2", prompt: "x".repeat(250_000) });
  for (let times = 0; times < 3; times++)
    expect(await send("/v1/completions", json, body)).toMatchObject({ status: 429, retryAfter: "5" });
  const small = JSON.stringify({ model: "tiny-qwen2", prompt: "x", max_tokens: 1 });
  for (let times = 0; times < 3; times++)
    expect(await send("/v1/completions", json, small)).toMatchObject({ status: 200 });
});

test("tokens that the model doesn't have are refused by the field that names them", async () => {
  const fields = { prompt: [999_999], stop_token_ids: [999_999], logit_bias: { 999999: 1 } };
  for (const [param, value] of Object.entries(fields)) {
    const body = JSON.stringify({ model: "tiny-qwen2", prompt: "x", min_tokens: 2, [param]: value });
    expect(await send("/v1/completions", json, body)).toMatchObject({ status: 400, error: { param } });
  }
});
