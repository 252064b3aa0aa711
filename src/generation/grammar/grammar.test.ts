import { describe, expect, test } from "vitest";
import { RequestError } from "../../schema/index.ts";
import { randomStream } from "../random-stream.ts";
import type { Automaton } from "./automaton.ts";
import { automatonOf } from "./index.ts";
import { utf8Ranges } from "./utf8.ts";

/** Whether the automaton takes a text whole. */
function takes(automaton: Automaton, text: string): boolean {
  let position: ReturnType<Automaton["step"]> = automaton.start;
  for (const byte of new TextEncoder().encode(text)) {
    position = automaton.step(position, byte);
    if (position === null) return false;
  }
  return position.accepts;
}
const regex = (pattern: string) => automatonOf({ regex: pattern });
const schema = (jsonSchema: unknown) => automatonOf({ jsonSchema });

test("the UTF-8 of a range holds exactly the bytes of its code points", () => {
  const ranges = [
    [0x61, 0x7a],
    [0x20, 0x900],
    [0x7f, 0x80],
    [0xd000, 0xe100],
    [0xabcd, 0x12345],
    [0, 0x10ffff],
    [0x10fff0, 0x10ffff],
  ] as const;
  for (const range of ranges) {
    const paths = utf8Ranges(range);
    const inside = (point: number) => {
      const bytes = new TextEncoder().encode(String.fromCodePoint(point));
      return paths.some(
        (path) => path.length === bytes.length && path.every(([low, high], k) => low <= bytes[k]! && bytes[k]! <= high),
      );
    };
    for (const at of [...range, 0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff])
      for (const point of [at - 1, at, at + 1]) {
        if (point < 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) continue;
        expect(inside(point), `${point} in ${range}`).toBe(point >= range[0] && point <= range[1]);
      }
  }
});

describe("regular expressions", () => {
  const patterns = [
    "a(b|cd)*e",
    "[a-c]{2,3}x?",
    "[^a-z\\d]+",
    "\\w+@\\w+\\.(com|org)",
    "(?:yes|no|)",
    "x{0}y{3}|z{2,}",
    "\\u00e9|\\x41|\\u{1F600}",
    "[\\]\\-\\\\^]+",
    "a.c",
    "\\s*\\S\\D\\W?",
    "(?<year>\\d{4})-[01]\\d",
    "é+ü?日[ぁ-ん]*",
    "^abc$",
    "a*?b+?c??",
    "\\$\\$",
  ];
  const alphabet = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "x",
    "y",
    "z",
    "A",
    "0",
    "1",
    "-",
    "]",
    "\\",
    "^",
    "@",
    ".",
    "\n",
    " ",
    "é",
    "日",
    "の",
    "😀",
    "$",
  ];

  test.each(patterns)("%s takes what ECMAScript's own takes", (pattern) => {
    const own = new RegExp(`^(?:${pattern})$`, "u");
    const automaton = regex(pattern);
    const stream = randomStream("regex", pattern);
    let step = 0;
    const draw = (n: number) => Math.floor(stream.uniform(step++) * n);
    let taken = 0;
    const candidates = [
      "",
      "abe",
      "acdcde",
      "abcx",
      "yes",
      "yyy",
      "zzz",
      "é",
      "A",
      "😀",
      "user@mail.com",
      "2024-09",
      "日の",
      "abc",
      "abbc",
      "$$",
      "aéc",
      "x日",
      "éé日の",
    ];
    for (let k = 0; k < 3000; k++)
      candidates.push(Array.from({ length: draw(6) }, () => alphabet[draw(alphabet.length)]!).join(""));
    for (const text of candidates) {
      expect(takes(automaton, text), JSON.stringify(text)).toBe(own.test(text));
      taken += own.test(text) ? 1 : 0;
    }
    expect(taken).toBeGreaterThan(0);
  });

  test.each([
    ["a(b", "has a group that isn't closed"],
    ["a)b", "closes a group that isn't open"],
    ["*a", "has * where it means nothing"],
    ["(?=a)b", "looks ahead"],
    ["(?<!a)b", "looks behind"],
    ["(a)\\1", "has \\1, which can't be followed"],
    ["\\bword", "has \\b"],
    ["[z-a]", "has a range that is none"],
    ["a{2,1}", "has a { that begins no repetition"],
    ["^a|b$", "has alternatives beside ^ or $"],
    ["a\\", "ends too early"],
  ])("%s is refused: %s", (pattern, reason) => {
    expect(() => regex(pattern)).toThrow(RequestError);
    expect(() => regex(pattern)).toThrow(reason);
  });

  test("one that is too large is refused", () => {
    expect(() => regex("((\\w{100}){100}){100}")).toThrow("too large");
    expect(() => regex(`${"(".repeat(50_000)}a${")".repeat(50_000)}`)).toThrow("nested too deep");
  });

  test("nothing, however often, is nothing", () => {
    for (const pattern of ["(){999999999999}a", "a(){0,999999999999}", "((){2}){999999999999}(?:){5,}a"])
      expect(takes(regex(pattern), "a")).toBe(true);
  });
});

describe("JSON schemas", () => {
  const tree = {
    $defs: {
      node: {
        type: "object",
        properties: { v: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
        required: ["v", "next"],
      },
    },
    $ref: "#/$defs/node",
  };
  const person = {
    type: "object",
    properties: {
      name: { type: "string", maxLength: 5 },
      age: { type: "integer", minimum: 0, maximum: 130 },
      tags: { type: "array", items: { enum: ["a", "b", 3, null] }, maxItems: 2 },
      role: { const: "x y" },
    },
    required: ["age"],
    additionalProperties: false,
  };
  test.each([
    [
      person,
      [{ age: 0 }, { name: "Jo", age: 130, tags: [] }, { age: 7, tags: ["a", null], role: "x y" }],
      [
        {},
        { age: 131 },
        { age: 1, other: 2 },
        { name: "Joanna", age: 1 },
        { age: 1, tags: ["a", "b", "a"] },
        { age: 1, name: "Jo" },
      ],
    ],
    [
      tree,
      [
        { v: 1, next: null },
        { v: -1, next: { v: 2, next: { v: 3, next: null } } },
      ],
      [{ v: 1 }, { v: 1.5, next: null }],
    ],
    [{ type: ["string", "null"] }, ["", 'q"\\\n\u0001é😀', null], [1, true]],
    [{ type: "string", pattern: '^[a-z"]+$' }, ["ab", 'a"b'], ["", "A"]],
    [{ type: "string", pattern: "b\\n?c" }, ["abc", "b\ncd"], ["b c", ""]],
    [{ type: "string", minLength: 2, maxLength: 3 }, ["é\n", "日本語"], ["a", "abcd"]],
    [
      { type: "array", prefixItems: [{ type: "boolean" }, { type: "number" }] },
      [[true, -1.5e3]],
      [[true], [1, true], [true, 1, 1]],
    ],
    [
      { type: "array", items: { type: "array", items: { type: "integer" }, minItems: 1 } },
      [[], [[1], [2, 3]]],
      [[[]], [1]],
    ],
    [{ type: "object" }, [{}, { a: { b: [1, "x", null, true, {}] } }], [[], 1]],
    [{ type: "object", additionalProperties: { type: "boolean" } }, [{}, { a: true, b: false }], [{ a: 1 }]],
    [{ type: "string", format: "date" }, ["2024-02-28"], ["2024-13-01", "x"]],
    [{ oneOf: [{ type: "integer", minimum: 0 }, { type: "boolean" }] }, [0, 12, true], [-1, "a"]],
    [{}, [1, "a", [{}]], []],
  ] as [unknown, unknown[], unknown[]][])("%j takes the values that fit and no others", (given, fitting, others) => {
    const automaton = schema(given);
    for (const value of fitting)
      for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)])
        expect(takes(automaton, text), text).toBe(true);
    for (const value of others) expect(takes(automaton, JSON.stringify(value)), JSON.stringify(value)).toBe(false);
  });

  test.each([
    [{ type: "number", minimum: 3 }, "at # has minimum, which is not of its type"],
    [
      { type: "object", properties: { a: { type: "string", minLenght: 3 } } },
      "at #/properties/a has minLenght, which can't be followed",
    ],
    [{ type: "array", uniqueItems: true }, "at # has uniqueItems, which can't be followed"],
    [{ type: "object", patternProperties: {} }, "has patternProperties"],
    [{ $ref: "#/$defs/none" }, "refers to #/$defs/none, which is not there"],
    [{ $ref: "#/$defs/%zz" }, "refers to %zz, whose % begins no character"],
    [{ $ref: "https://example.org/schema" }, "which is not within the schema"],
    [{ allOf: [{ type: "string" }, { type: "string" }] }, "allOf with several schemas"],
    [{ type: "text" }, 'has a type "text" that is none'],
    [{ title: "x", minimum: 2, minLength: 2 }, "doesn't say of which type it is"],
    [{ anyOf: [] }, "is no list, or an empty one"],
    [{ $defs: { a: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" }, "refers to itself without end"],
    [{ type: "integer", minimum: 1 }, "bounds an integer other than by two numbers"],
    [false, "is no schema that any value fits"],
  ])("%j is refused: %s", (given, reason) => {
    expect(() => schema(given)).toThrow(RequestError);
    expect(() => schema(given)).toThrow(reason);
  });
});
