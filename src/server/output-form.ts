import type { OutputForm } from "../generation/index.ts";
import { badRequest } from "./api-error.ts";
import type { ChatRequest } from "./request-fields.ts";

/** What a chat's response is held to. */
export interface HeldForm {
  readonly form: OutputForm;
  /** The field that asks for it. */
  readonly field: string;
  /** Whether the whole text is the call of a tool. */
  readonly isCall: boolean;
}

/** The form that a request asks for; undefined: any text. @throws ApiError 400 where its fields don't go together */
export function heldForm(request: ChatRequest): HeldForm | undefined {
  const { response_format: format, tool_choice: choice, tools = [] } = request;
  if (choice !== undefined && choice !== "none" && tools.length === 0)
    throw badRequest("`tool_choice` may only be given with `tools`", "tool_choice");
  const forced = choice === "required" || typeof choice === "object";
  const free = format === undefined || format.type === "text";
  if (request.ignore_eos === true && (forced || !free))
    throw badRequest("a response that is held to a form ends where that is complete", "ignore_eos");
  if (free) return forced ? { form: { jsonSchema: callSchema(request) }, field: "tools", isCall: true } : undefined;
  if (forced) throw badRequest("a response can't be a call of a tool and have a format of its own", "response_format");
  const form: OutputForm =
    format.type === "json_object" ? { json: "object" } : { jsonSchema: format.json_schema.schema };
  return { form, field: "response_format", isCall: false };
}

/** The call of a tool as JSON: of any, or of the one that is named. */
function callSchema({ tools = [], tool_choice: choice }: ChatRequest): unknown {
  const named = typeof choice === "object" ? choice.function.name : undefined;
  const allowed = tools.filter((tool) => named === undefined || tool.function.name === named);
  if (allowed.length === 0) throw badRequest(`there is no tool ${named} among \`tools\``, "tool_choice");
  return {
    anyOf: allowed.map(({ function: { name, parameters } }) => ({
      type: "object",
      properties: {
        name: { const: name },
        arguments: parameters ?? { type: "object", properties: {}, additionalProperties: false },
      },
      required: ["name", "arguments"],
      additionalProperties: false,
    })),
  };
}
