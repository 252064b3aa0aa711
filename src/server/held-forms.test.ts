import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, tool } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { type TinyServer, testKey, tinyServer } from "./testing/tiny-server.ts";

const chatTemplate =
  "{% for tool in tools or [] %}{{ tool.function.name }} {% endfor %}{% for message in messages %}{{ message.content }}{% endfor %}";
let server: TinyServer;
let client: OpenAI;
beforeAll(async () => {
  server = await tinyServer([], {
    models: [{ name: "m", recipe: { model: tinyFolder("qwen2"), precision: "fp32", chat_template: chatTemplate } }],
  });
  client = new OpenAI({ baseURL: server.base, apiKey: testKey, maxRetries: 0 });
});
afterAll(() => server.close());

/** No text of a random model would be any of this by itself. */
const schema = {
  type: "object",
  properties: { city: { enum: ["Oslo", "Paris"] }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const tools = [
  { type: "function" as const, function: { name: "weather", parameters: schema } },
  { type: "function" as const, function: { name: "clock" } },
];
const ask = { model: "m", messages: [{ role: "user" as const, content: "Hello" }], max_tokens: 120 };

describe("a response that is held to a form", () => {
  test("is JSON by its schema, whatever the seed", async () => {
    const response_format = { type: "json_schema" as const, json_schema: { name: "trip", schema } };
    const { choices } = await client.chat.completions.create({ ...ask, response_format, n: 8, seed: 3 });
    for (const { message, finish_reason: finish } of choices) {
      const { city, days } = JSON.parse(message.content!) as { city: string; days: number };
      expect(["Oslo", "Paris"]).toContain(city);
      expect(days >= 1 && days <= 7).toBe(true);
      expect(finish).toBe("stop");
    }
    expect(new Set(choices.map(({ message }) => message.content)).size).toBeGreaterThan(1);
  });

  test("is the call of a tool, of one that is named, and streamed the same", async () => {
    const request = { ...ask, tools, tool_choice: "required" as const, seed: 1 };
    const whole = await client.chat.completions.create(request);
    const [call] = whole.choices[0]!.message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
    expect(["weather", "clock"]).toContain(call!.function.name);
    expect(whole.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    expect(streamed.choices[0]!.message.tool_calls![0]).toMatchObject({
      function: { arguments: call!.function.arguments },
    });
    const named = { type: "function" as const, function: { name: "clock" } };
    const other = await client.chat.completions.create({ ...request, tool_choice: named });
    expect(other.choices[0]!.message.tool_calls![0]).toMatchObject({ function: { name: "clock", arguments: "{}" } });
  });

  test("reaches the AI SDK as its object, and as its call of a tool", async () => {
    const provider = createOpenAICompatible({
      ...{ name: "amalgam", baseURL: server.base, apiKey: testKey, supportsStructuredOutputs: true },
    });
    const asked = { model: provider("m"), prompt: "Hello", maxOutputTokens: 120, seed: 2, maxRetries: 0 };
    const { output } = await generateText({
      ...asked,
      output: Output.object({ schema: jsonSchema<{ city: string }>(schema as never) }),
    });
    expect(["Oslo", "Paris"]).toContain(output.city);
    const { toolCalls } = await generateText({
      ...asked,
      tools: { weather: tool({ inputSchema: jsonSchema<{ city: string }>(schema as never) }) },
      toolChoice: "required",
    });
    expect(toolCalls[0]).toMatchObject({ toolName: "weather", input: { city: expect.stringMatching(/Oslo|Paris/) } });
  });

  test("is refused where the schema can't be followed, or the fields don't go together", async () => {
    const strange = { type: "object", properties: { a: { not: { type: "string" } } } };
    for (const [more, param] of [
      [{ response_format: { type: "json_schema", json_schema: { name: "x", schema: strange } } }, "response_format"],
      [{ tools, tool_choice: { type: "function", function: { name: "other" } } }, "tool_choice"],
      [{ tools, tool_choice: "required", response_format: { type: "json_object" } }, "response_format"],
      [{ ignore_eos: true, response_format: { type: "json_object" } }, "ignore_eos"],
      [{ ignore_eos: true, tools, tool_choice: "required" }, "ignore_eos"],
      [{ tool_choice: "required" }, "tool_choice"],
    ] as const)
      await expect(client.chat.completions.create({ ...ask, ...more } as typeof ask)).rejects.toMatchObject({
        ...{ status: 400, param },
      });
  });
});
