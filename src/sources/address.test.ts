import { inspect } from "node:util";
import { expect, test } from "vitest";
import { AmalgamError, EnvironmentError, endpointSchema, RecipeError } from "../schema/index.ts";
import { endpointAddress } from "./address.ts";

const address = (url: string, key_env?: string, environment = {}) =>
  endpointAddress(
    endpointSchema.parse({ url, model: "m", ...(key_env === undefined ? {} : { key_env }) }),
    environment,
  );
const failure = (work: () => unknown): AmalgamError => {
  try {
    work();
  } catch (error) {
    if (error instanceof AmalgamError) return error;
    throw error;
  }
  throw new Error("did not fail");
};

test.each([
  ["http://host:8000/v1", "http://host:8000/v1/chat/completions"],
  ["http://host:8000/v1/", "http://host:8000/v1/chat/completions"],
  ["http://host:8000/v1/chat/completions", "http://host:8000/v1/chat/completions"],
  ["http://host:8000/v1/chat/completions/", "http://host:8000/v1/chat/completions"],
])("%s is the same endpoint", (url, chat) => {
  const { callUrl, modelsUrl, shown, identity } = address(url);
  expect(callUrl.href).toBe(chat);
  expect(modelsUrl.href).toBe("http://host:8000/v1/models");
  expect(shown).toBe("http://host:8000/v1");
  expect(identity).toBe(address("http://host:8000/v1").identity);
});

test("a server at the root", () => {
  expect(address("https://host").callUrl.href).toBe("https://host/chat/completions");
});

test("a query stays on every call, and out of sight", () => {
  const { callUrl, modelsUrl, shown, secrets } = address(
    "https://host/o?api-version=2024-10-21&api-key=abcdef0123456789",
  );
  expect(callUrl.href).toBe("https://host/o/chat/completions?api-version=2024-10-21&api-key=abcdef0123456789");
  expect(modelsUrl.search).toBe(callUrl.search);
  expect(shown).toBe("https://host/o");
  expect(secrets.scrub("abcdef0123456789")).toBe("[secret]");
});

test("another model or host is another identity; credentials don't count", () => {
  const { identity } = address("http://host/v1");
  expect(address("http://other/v1").identity).not.toBe(identity);
  expect(endpointAddress(endpointSchema.parse({ url: "http://host/v1", model: "n" }), {}).identity).not.toBe(identity);
  expect(address("http://me:word@host/v1").identity).toBe(identity);
  expect(address("http://host/v1", "KEY", { KEY: "k" }).identity).toBe(identity);
});

test("a password in the URL is sent as Basic, and shown nowhere", () => {
  const { headers, callUrl, shown, secrets } = address("http://me:pass%40word99@host/v1");
  expect(headers.authorization).toBe(`Basic ${Buffer.from("me:pass@word99").toString("base64")}`);
  expect(callUrl.href + shown).not.toMatch(/pass|me:/);
  expect(secrets.scrub("me:pass@word99")).toBe("me:[secret]");
});

test("who asks, in words", () => {
  expect(address("http://host/v1", "KEY", { KEY: "k" }).keyInWords).toBe("the key in KEY");
  expect(address("http://me:word@host/v1").keyInWords).toBe("the user name and password of its URL");
  expect(address("http://host/v1").keyInWords).toBe("calls without a key (the recipe names no key_env)");
});

test("two credentials at once", () => {
  const error = failure(() => address("http://me:word@host/v1", "KEY", { KEY: "k" }));
  expect(error).toBeInstanceOf(RecipeError);
  expect(error.message).not.toContain("word@");
});

test.each([{}, { KEY: "" }, { KEY: " \n" }])("no key: %j", (environment) => {
  const error = failure(() => address("http://host/v1", "KEY", environment));
  expect(error).toBeInstanceOf(EnvironmentError);
  expect(error.message).toContain("KEY");
  expect(error.hint).toContain("export KEY=");
});

test("a header's value may have spaces, and what stands after them is secret, too", () => {
  const recipe = endpointSchema.parse({ url: "http://host/v1", model: "m", headers_env: { Authorization: "AUTH" } });
  const { headers, secrets } = endpointAddress(recipe, { AUTH: "Bearer abc-1234567890" });
  expect(headers.authorization).toBe("Bearer abc-1234567890");
  expect(secrets.scrub("(abc-1234567890)")).toBe("([secret])");
  expect(secrets.holdsSecret("abc-1234567890")).toBe(true);
  expect(failure(() => endpointAddress(recipe, { AUTH: "Bearer a\nb" })).message).toMatch(/header in AUTH/);
});

test("a key with a line break inside, and one with a line break after it", () => {
  const error = failure(() => address("http://host/v1", "KEY", { KEY: "sk-one\nsk-two" }));
  expect(error).toBeInstanceOf(EnvironmentError);
  expect(inspect(error)).not.toContain("sk-one");
  expect(address("http://host/v1", "KEY", { KEY: "sk-one\n" }).headers.authorization).toBe("Bearer sk-one");
});
