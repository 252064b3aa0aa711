import { Template } from "@huggingface/jinja";
import { DataError, ModelError, type Place, type Turn } from "../schema/index.ts";

export interface ChatTemplate {
  /** The Jinja text. */
  readonly text: string;
  /** The pieces of plain text that the template itself writes or compares with. */
  readonly literals: readonly string[];
  /**
   * @throws DataError where the template refuses the messages (raise_exception), ModelError where it fails.
   */
  render(messages: readonly Turn[], variables: Readonly<Record<string, unknown>>): string;
}

/** Thrown by a template's own `raise_exception`. */
class Refusal extends Error {}

// The engine's raise_exception can be neither replaced nor told from its own errors, so calls go to this one.
const refuse = "amalgam_raise_exception";

/**
 * Compiles a chat template in the dialect of `transformers`: Jinja with trimmed blocks, and the variables `messages`,
 * `add_generation_prompt`, `tools`, `documents` and the named special tokens.
 * @param place where the template stands, for errors.
 * @throws ModelError for a template that is no valid Jinja.
 */
export function compileChatTemplate(text: string, place: Place): ChatTemplate {
  let template: Template;
  try {
    template = new Template(text);
  } catch (cause) {
    // The parser runs over the end of a template that lacks one, and fails on what it doesn't find there.
    const reason = cause instanceof TypeError ? "it ends within a statement or a block" : (cause as Error).message;
    throw new ModelError(`the chat template is not valid Jinja: ${reason}`, {
      ...place,
      cause,
      hint: "Repair the template, or give another one as the model's chat template.",
    });
  }
  const nodes = nodesOf(template.parsed);
  for (const node of nodes) {
    if (node.type === "Identifier" && node.value === "raise_exception") node.value = refuse;
  }
  return {
    text,
    literals: nodes.flatMap(({ type, value }) => (type === "StringLiteral" ? [String(value)] : [])),
    render(messages, variables) {
      try {
        return template.render({
          tools: null,
          documents: null,
          ...variables,
          messages: messages.map((message) => ({ ...message })),
          [refuse]: (reason: unknown) => {
            throw new Refusal(String(reason));
          },
        });
      } catch (cause) {
        if (cause instanceof Refusal) {
          throw new DataError(`the chat template refuses these messages: ${cause.message}`, {
            ...place,
            hint: `The roles of the messages are: ${messages.map((message) => message.role).join(", ")}.`,
          });
        }
        throw new ModelError(`the chat template can't be carried out: ${(cause as Error).message}`, {
          ...place,
          cause,
          hint: "Repair the template, or give another one as the model's chat template.",
        });
      }
    },
  };
}

interface Node {
  readonly type: unknown;
  value?: unknown;
}

/** Every node of a parsed template. */
function nodesOf(value: unknown): Node[] {
  if (typeof value !== "object" || value === null) return [];
  const children = (value instanceof Map ? [...value].flat() : Object.values(value)).flatMap(nodesOf);
  return "type" in value ? [value, ...children] : children;
}
