import { DataError, ModelError, type Turn } from "../schema/index.ts";
import { badRequest } from "./api-error.ts";
import type { ChatRequest, RequestMessage } from "./request-fields.ts";
import type { ServedModel } from "./served-models.ts";
import { type ToolFormat, toolFormatOf } from "./tool-calls.ts";

/**
 * The tokens of a conversation by the model's own template, its tools with it.
 *
 * @throws ApiError 400 where the model has no template, or the template refuses or can't take them
 */
export function chatTokens(
  { tokenizer, label }: Pick<ServedModel, "tokenizer" | "label">,
  request: ChatRequest,
): number[] {
  if (!tokenizer.hasChatTemplate)
    throw badRequest(`${label} has no chat template: it is a base model. Use /v1/completions`, "model");
  const tools = request.tool_choice === "none" ? undefined : request.tools;
  const template = tokenizer.chatTemplate ?? "";
  if (tools !== undefined && tools.length > 0 && !/\btools\b/.test(template))
    throw badRequest("this model's chat template takes no tools", "tools");
  const variables = {
    ...(request.reasoning_effort === undefined ? {} : { reasoning_effort: request.reasoning_effort }),
    ...request.chat_template_kwargs,
    ...(tools === undefined || tools.length === 0 ? {} : { tools }),
  };
  try {
    return tokenizer.encodePrompt(request.messages.map(turn), { variables });
  } catch (error) {
    if (error instanceof DataError || error instanceof ModelError) throw badRequest(error.message, "messages");
    throw error;
  }
}

/** The form in which the response may call tools; undefined: it can't, or in none that is read here. */
export function callFormat(
  { tokenizer }: Pick<ServedModel, "tokenizer">,
  { tools = [], tool_choice }: ChatRequest,
): ToolFormat | undefined {
  if (tools.length === 0 || tool_choice === "none") return undefined;
  const names = tools.map(({ function: { name } }) => name);
  return toolFormatOf(tokenizer.chatTemplate ?? "", names);
}

/** A message as templates know it: `developer` is OpenAI's newer word for `system`. */
function turn(message: RequestMessage, index: number): Turn {
  const { content } = message;
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", content };
    case "tool":
      return {
        role: "tool",
        content,
        ...(message.tool_call_id === undefined ? {} : { tool_call_id: message.tool_call_id }),
      };
    case "assistant": {
      const calls = message.tool_calls?.map((call, at) => ({
        ...(call.id === undefined ? {} : { id: call.id }),
        type: "function",
        function: {
          name: call.function.name,
          arguments: argumentsOf(call.function.arguments, `messages[${index}].tool_calls[${at}].function.arguments`),
        },
      }));
      return {
        role: "assistant",
        content,
        ...(calls === undefined || calls.length === 0 ? {} : { tool_calls: calls }),
      };
    }
    default:
      return { role: "user", content };
  }
}

/** Templates write arguments as JSON themselves, from values. */
function argumentsOf(text: string, field: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest(`\`${field}\` is not valid JSON`, field);
  }
}
