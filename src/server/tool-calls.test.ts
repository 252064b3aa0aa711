import { describe, expect, test } from "vitest";
import { toolCallReader, writesToolCalls } from "./tool-calls.ts";

/** Reads a text that comes in pieces of `size` characters. */
function read(text: string, size: number) {
  const reader = toolCallReader();
  const parts = [];
  for (let at = 0; at < text.length; at += size) parts.push(reader.push(text.slice(at, at + size)));
  parts.push(reader.end());
  return { content: parts.map(({ content }) => content).join(""), calls: parts.flatMap(({ calls }) => calls) };
}

const call = (name: string, given: unknown) =>
  `<tool_call>\n${JSON.stringify({ name, arguments: given })}\n</tool_call>`;

describe("calls of tools in a text", () => {
  test.each([
    ["a text alone", "Just <b>text</b> \n", "Just <b>text</b> \n", []],
    ["one call", call("f", { a: 1 }), "", [{ name: "f", arguments: '{"a":1}' }]],
    [
      "two calls after a text",
      `Let me see.\n${call("f", { a: "</x>" })}\n${call("g", {})}`,
      "Let me see.",
      [
        { name: "f", arguments: '{"a":"</x>"}' },
        { name: "g", arguments: "{}" },
      ],
    ],
    ["what is no JSON", "<tool_call>{oops</tool_call> then", "<tool_call>{oops</tool_call> then", []],
    ["a call without its end", '<tool_call>{"name": "f"}', "", [{ name: "f", arguments: "{}" }]],
    ["half a call", '<tool_call>{"name": "f', '<tool_call>{"name": "f', []],
    ["the beginning of a tag", "a <tool", "a <tool", []],
  ])("%s, however it is parted", (_, text, content, calls) => {
    for (const size of [1, 2, 3, 7, 1000]) expect(read(text, size)).toEqual({ content, calls });
  });

  test("are known by the template", () => {
    expect(writesToolCalls("{{ '<tool_call>' }}")).toBe(true);
    expect(writesToolCalls("{{ messages }}")).toBe(false);
  });
});
