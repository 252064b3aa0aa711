import { Tiktoken } from "js-tiktoken/lite";
import cl100k from "js-tiktoken/ranks/cl100k_base";
import o200k from "js-tiktoken/ranks/o200k_base";
import { expect, test } from "vitest";
import { tokenCounter } from "./tokens.ts";

const texts = [
  "",
  "I'd say 12345 words, no?\n\n\t- **one**\r\n",
  "<|endoftext|> is plain text here, and <|im_start|> too",
  "Grüße aus Łódź, 東京 und 🙂👩‍👩‍👧 — \u00a0\u2003ende   ",
  "Donaudampfschifffahrtsgesellschaftskapitänsmütze",
  "half a pair: \ud83d.",
  "=-=-".repeat(40),
  "const f = (x: number) => x ** 2; // HTTPServer's camelCase\n    return f(1e-9);",
];

test.each([
  ["v0.1", cl100k],
  ["v2.0", o200k],
] as const)("tokens of %s are tiktoken's", async (version, ranks) => {
  const count = await tokenCounter(version);
  const peer = new Tiktoken(ranks);
  expect(texts.map(count)).toEqual(texts.map((text) => peer.encode(text, [], []).length));
});

test("an answer that is one long run of signs is counted at once", async () => {
  const [earlier, later] = [await tokenCounter("v0.1"), await tokenCounter("v2.0")];
  const a = "a".repeat(200_000);
  // Eight are one token, in both vocabularies.
  expect([earlier(a), later(a)]).toEqual([25_000, 25_000]);
});
