import { inspect } from "node:util";
import { expect, test } from "vitest";
import { type EndpointRecipe, endpointSchema } from "../schema/index.ts";
import { probeEndpoint } from "./probe.ts";
import { type Handler, openAiError, sendJson } from "./testing/local-server.ts";
import { serving } from "./testing/serving.ts";

const key = "sk-test-Zq7/4fWbR+mN2xYv";
const { serve } = serving();
const probe = async (handler: Handler, recipe: Partial<EndpointRecipe> = {}, environment = { PEER_KEY: key }) => {
  const server = await serve(handler);
  return probeAt(server.url, recipe, environment);
};
const probeAt = (url: string, recipe: Partial<EndpointRecipe>, environment = {}) =>
  probeEndpoint(endpointSchema.parse({ url, model: "qwen-7b", key_env: "PEER_KEY", ...recipe }), { environment });
const outcomes = (findings: Awaited<ReturnType<typeof probeEndpoint>>) =>
  findings.map(({ check, outcome }) => `${check}: ${outcome}`);
const models = (...ids: string[]) => ({
  object: "list",
  data: ids.map((id) => ({ id, object: "model", created: 1_760_000_000, owned_by: "test" })),
});
const guarded =
  (...ids: string[]): Handler =>
  ({ path, authorization }, answer) =>
    path === "/v1/models" && authorization === `Bearer ${key}`
      ? sendJson(answer, 200, models(...ids))
      : sendJson(answer, 401, openAiError(`Incorrect API key provided: ${authorization}`));

test("all is well", async () => {
  const findings = await probe(guarded("llama-8b", "qwen-7b"));
  expect(outcomes(findings)).toEqual(["key set: ok", "reachable: ok", "key accepted: ok", "model listed: ok"]);
  expect(inspect(findings)).not.toContain(key);
});

test("the model is not there: the nearest names", async () => {
  const findings = await probe(guarded("llama-8b", "gpt", "qwen-7b-instruct", "a", "b", "c"));
  expect(outcomes(findings).at(-1)).toBe("model listed: problem");
  expect(findings.at(-1)!.text).toMatch(/does not list "qwen-7b" among its 6 models/);
  expect(findings.at(-1)!.hint).toMatch(/^The nearest: qwen-7b-instruct, /);
});

test("a wrong key", async () => {
  const findings = await probe(guarded("qwen-7b"), {}, { PEER_KEY: `${key}x` });
  expect(outcomes(findings)).toEqual(["key set: ok", "reachable: ok", "key accepted: problem"]);
  expect(findings[2]!.hint).toMatch(/PEER_KEY/);
  expect(inspect(findings)).not.toContain(key);
});

test("no key in the environment: the server is looked at all the same", async () => {
  const findings = await probe(guarded("qwen-7b"), {}, {} as { PEER_KEY: string });
  expect(outcomes(findings)).toEqual(["key set: problem", "reachable: ok"]);
  expect(findings[0]).toMatchObject({ text: expect.stringMatching(/PEER_KEY/), hint: expect.stringMatching(/export/) });
});

test("a list that anyone may see says nothing about the key", async () => {
  const findings = await probe((_, answer) => sendJson(answer, 200, models("qwen-7b")));
  expect(outcomes(findings)).toEqual(["key set: ok", "reachable: ok", "key accepted: unknown", "model listed: ok"]);
});

test("a server that needs no key", async () => {
  const server = await serve((_, answer) => sendJson(answer, 200, models("qwen-7b")));
  const recipe = endpointSchema.parse({ url: server.url, model: "qwen-7b" });
  const findings = await probeEndpoint(recipe, { environment: {} });
  expect(findings.map(({ outcome }) => outcome)).toEqual(["ok", "ok", "ok", "ok"]);
});

test.each<[string, Handler]>([
  ["404", (_, answer) => sendJson(answer, 404, {})],
  ["a web page", (_, answer) => void answer.writeHead(200).end("<html>")],
])("no list of models: %s", async (_, handler) => {
  const findings = await probe(handler);
  expect(outcomes(findings).slice(2)).toEqual(["key accepted: unknown", "model listed: unknown"]);
  expect(findings[3]!.hint).toMatch(/\/v1/);
});

test.each<[string, Handler, RegExp]>([
  ["a failure", (_, answer) => sendJson(answer, 503, {}), /HTTP 503/],
  ["a redirect", (_, answer) => void answer.writeHead(301, { location: "/" }).end(), /another place/],
  ["a hang", () => {}, /no whole answer within 0.1 s/],
  ["a reset", (_, answer) => void answer.destroy(), /closed before|reset/],
])("%s", async (_, handler, text) => {
  const findings = await probe(handler, { timeout_seconds: 0.1 });
  expect(outcomes(findings)).toEqual(["key set: ok", "reachable: problem"]);
  expect(findings[1]!.text).toMatch(text);
  expect(findings[1]!.hint).toBeDefined();
});

test("nothing listens", async () => {
  const server = await serve(() => {});
  await server.close();
  const findings = await probeAt(server.url, {}, { PEER_KEY: key });
  expect(findings[1]).toMatchObject({ outcome: "problem", text: expect.stringMatching(/refused/) });
});
