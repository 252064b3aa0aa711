import { describe, expect, test } from "vitest";
import { tokenizerFromGguf } from "../tokenizers/index.ts";
import { byteLevelMetadata } from "../tokenizers/testing/synthetic.ts";
import { ApiError } from "./api-error.ts";
import { callFormat, chatTokens } from "./chat-messages.ts";
import { chatSchema } from "./request-fields.ts";

const chatTemplate =
  "{% if tools %}[{% for tool in tools %}{{ tool.function.name }} {{ tool.function.parameters | tojson }}{% endfor %}]{% endif %}" +
  "{% for message in messages %}{{ message.role }}: {{ message.content }}" +
  "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function.name }} {{ call.function.arguments.city }}</tool_call>{% endfor %}{{ '\\n' }}{% endfor %}" +
  "{% if enable_thinking is defined and not enable_thinking %}no thinking{% endif %}";
const model = {
  label: "test",
  tokenizer: tokenizerFromGguf(byteLevelMetadata("qwen2"), "synthetic", { chatTemplate }),
};
const plain = { label: "test", tokenizer: tokenizerFromGguf(byteLevelMetadata("qwen2"), "synthetic") };

const tools = [
  { type: "function", function: { name: "weather", parameters: { type: "object", properties: { city: {} } } } },
];
const messages = [
  { role: "developer", content: "Be brief." },
  {
    role: "user",
    content: [
      { type: "text", text: "How is it " },
      { type: "text", text: "in Oslo?" },
    ],
  },
  {
    role: "assistant",
    content: null,
    refusal: null,
    tool_calls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: '{"city": "Oslo"}' } }],
  },
  { role: "tool", tool_call_id: "call_1", content: "rain" },
];
const request = (more: object) => chatSchema.parse({ model: "m", messages, ...more });
const text = (more: object) => model.tokenizer.decode(chatTokens(model, request(more)));

describe("a conversation by its template", () => {
  const turns =
    "system: Be brief.\nuser: How is it in Oslo?\nassistant: <tool_call>weather Oslo</tool_call>\ntool: rain\n";

  test("has the turns of OpenAI's messages, calls of tools with their values", () => {
    expect(text({})).toBe(turns);
  });

  test("has the tools, unless the request wants none used", () => {
    expect(text({ tools })).toBe(`[weather {"type": "object", "properties": {"city": {}}}]${turns}`);
    expect(text({ tools, tool_choice: "none" })).toBe(turns);
    expect(callFormat(model, request({ tools }))).toMatchObject({ open: "<tool_call>" });
    expect(callFormat(model, request({ tools, tool_choice: "none" }))).toBeUndefined();
    expect(callFormat(plain, request({ tools }))).toBeUndefined();
  });

  test("has the template's own variables", () => {
    expect(text({ chat_template_kwargs: { enable_thinking: false } })).toBe(`${turns}no thinking`);
  });

  test("is refused where the template takes no tools, or arguments are no JSON", () => {
    expect(() => chatTokens(plain, request({ tools }))).toThrow(ApiError);
    const broken = structuredClone(messages);
    broken[2]!.tool_calls![0]!.function.arguments = "{city";
    expect(() => chatTokens(model, request({ messages: broken }))).toThrow(
      "messages[2].tool_calls[0].function.arguments",
    );
  });
});
