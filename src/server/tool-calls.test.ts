import { describe, expect, test } from "vitest";
import { toolFormatOf } from "./tool-calls.ts";
import { firstCallOnly, toolCallReader } from "./tool-reader.ts";

const templates = {
  hermes: "{{ '<tool_call>' }}",
  mistral: "{{ '[TOOL_CALLS]' }}",
  llama: `{{ 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}`,
};
type Style = keyof typeof templates;

/** Reads a text that comes in pieces of `size` characters. */
function read(style: Style, text: string, size: number, limit = <R>(reader: R) => reader) {
  const reader = limit(toolCallReader(toolFormatOf(templates[style], ["f", "g"])!));
  const parts = [];
  for (let at = 0; at < text.length; at += size) parts.push(reader.push(text.slice(at, at + size)));
  parts.push(reader.end());
  return { content: parts.map(({ content }) => content).join(""), calls: parts.flatMap(({ calls }) => calls) };
}

const call = (name: string, given: unknown) =>
  `<tool_call>\n${JSON.stringify({ name, arguments: given })}\n</tool_call>`;
const [f, g] = [
  { name: "f", arguments: '{"a":"</x> ] }"}' },
  { name: "g", arguments: "{}" },
];
const a = '{"a": "</x> ] }"}';

describe("calls of tools in a text", () => {
  test.each<[Style, string, string, string, object[]]>([
    ["hermes", "a text alone", "Just <b>text</b> \n", "Just <b>text</b> \n", []],
    ["hermes", "one call", call("f", { a: 1 }), "", [{ name: "f", arguments: '{"a":1}' }]],
    [
      "hermes",
      "two calls after a text",
      `Let me see.\n${call("f", JSON.parse(a))}\n${call("g", {})}\n`,
      "Let me see.",
      [f, g],
    ],
    ["hermes", "what is no JSON", "<tool_call>{oops</tool_call> then", "<tool_call>{oops</tool_call> then", []],
    ["hermes", "a call without its end", '<tool_call>{"name": "f"}', "", [{ name: "f", arguments: "{}" }]],
    ["hermes", "a call without tags", `{"name": "f", "arguments": ${a}}`, "", [f]],
    ["hermes", "an answer in JSON", '{"name": "h", "arguments": {}}', '{"name": "h", "arguments": {}}', []],
    ["hermes", "half a call", '<tool_call>{"name": "f', '<tool_call>{"name": "f', []],
    ["hermes", "the beginning of a tag", "a <tool", "a <tool", []],

    [
      "mistral",
      "a list of calls, as the 7B of 2024 writes it",
      `[TOOL_CALLS] [{"name": "f", "arguments": ${a}}, {"name": "g", "arguments": {}}]`,
      "",
      [f, g],
    ],
    [
      "mistral",
      "calls by name, as the Small of 2025 writes them",
      `Let me see.[TOOL_CALLS]f[ARGS]${a}[TOOL_CALLS]g[CALL_ID]a1b2c3d4e[ARGS]{}`,
      "Let me see.",
      [f, g],
    ],
    ["mistral", "a call by name without more marks", "[TOOL_CALLS]g{}", "", [g]],
    ["mistral", "half a list", '[TOOL_CALLS] [{"name": "f"', '[TOOL_CALLS] [{"name": "f"', []],
    ["mistral", "half a name", "[TOOL_CALLS]f[AR", "[TOOL_CALLS]f[AR", []],
    ["mistral", "what is no call", "[TOOL_CALLS] I can't. [1]", "[TOOL_CALLS] I can't. [1]", []],
    ["mistral", "a text alone", "Lists [1, 2] and [TOOLS]", "Lists [1, 2] and [TOOLS]", []],

    ["llama", "bare JSON", `{"name": "f", "parameters": ${a}}`, "", [f]],
    ["llama", "after its mark", `<|python_tag|>{"name": "f", "parameters": ${a}}`, "", [f]],
    ["llama", "several", `{"name": "f", "parameters": ${a}}; {"name": "g", "parameters": {}}\n`, "", [f, g]],
    ["llama", "an answer in JSON", ' {"name": "Ada", "age": 36}', ' {"name": "Ada", "age": 36}', []],
    ["llama", "another's tool", '{"name": "h", "parameters": {}}', '{"name": "h", "parameters": {}}', []],
    ["llama", "half a call", '{"name": "f", "para', '{"name": "f", "para', []],
    ["llama", "JSON within an answer", 'So {"name": "g"}', 'So {"name": "g"}', []],
    ["llama", "its own tools' code", '<|python_tag|>search.call("x")', '<|python_tag|>search.call("x")', []],
  ])("%s: %s, however it is parted", (style, _, text, content, calls) => {
    for (const size of [1, 2, 3, 7, 1000]) expect(read(style, text, size)).toEqual({ content, calls });
  });

  test("the first alone, where more are not wanted", () => {
    const text = `<tool_call>${JSON.stringify({ name: "f", arguments: JSON.parse(a) })}</tool_call>${call("g", {})}`;
    for (const size of [1, 1000])
      expect(read("hermes", text, size, firstCallOnly as never)).toEqual({ content: "", calls: [f] });
  });

  test("are read in no template that has none, and named as Mistral's template takes them back", () => {
    expect(toolFormatOf("{{ messages }}", ["f"])).toBeUndefined();
    for (let k = 0; k < 20; k++) expect(toolFormatOf(templates.mistral, [])!.newId()).toMatch(/^[a-z0-9]{9}$/);
  });
});
