import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { canonicalJson, contentKey } from "./key.ts";

/** The definition: `JSON.stringify` of copies whose keys are sorted. */
const byDefinition = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => {
    if (inner === null || typeof inner !== "object" || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });

test("the text is that of JSON.stringify with sorted keys, whatever the value", () => {
  const values: unknown[] = [
    { b: 1, a: [1, undefined, () => 0, Number.NaN, -0, 1e21, 1e-7], c: { z: null, y: undefined } },
    { 10: "ten", 9: "nine", b: 1, 4294967294: 1, 4294967295: 2, 99999999999: 3, "01": 4, "-1": 5, "": 6 },
    { ["__proto__"]: 1, constructor: 2, "\ud83d": "half", "🙂": "whole", 'quote"': "\u2028\u0007" },
    { date: new Date(0), nested: { toJSON: () => ({ b: 1, a: 2 }) } },
    "text",
    3,
    true,
    null,
    [],
    {},
    [[[]], [{ b: [{ d: 1, c: 2 }], a: {} }]],
  ];
  for (const value of values) expect(canonicalJson(value)).toBe(byDefinition(value));
});

test("so are values made by lot", () => {
  let state = 7;
  const lot = (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const made = (depth: number): unknown => {
    switch (lot(depth > 3 ? 4 : 6)) {
      case 0:
        return lot(1000) / 7;
      case 1:
        return String.fromCharCode(lot(0x3000), 0x20 + lot(90));
      case 2:
        return lot(2) === 0;
      case 3:
        return null;
      case 4:
        return Array.from({ length: lot(4) }, () => made(depth + 1));
      default:
        return Object.fromEntries(
          Array.from({ length: lot(6) }, () => [
            lot(3) === 0 ? String(lot(30)) : String.fromCharCode(97 + lot(26), lot(0x800)),
            made(depth + 1),
          ]),
        );
    }
  };
  for (let round = 0; round < 2000; round += 1) {
    const value = made(0);
    expect(canonicalJson(value)).toBe(byDefinition(value));
  }
});

test("a key is the first half of the text's SHA-256", () => {
  const value = { seed: 42, messages: [{ role: "user", content: "Why? 🙂" }] };
  expect(contentKey(value)).toBe(createHash("sha256").update(byDefinition(value)).digest("hex").slice(0, 32));
  expect(contentKey({ messages: value.messages, seed: 42 })).toBe(contentKey(value));
});

test("what JSON can't hold is refused", () => {
  expect(() => canonicalJson({ a: 1n })).toThrow(TypeError);
});
