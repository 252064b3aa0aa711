import type { EndpointRecipe } from "../schema/index.ts";
import { endpointIdentity } from "./address.ts";
import { type CallApi, type Calls, type EndpointOptions, openCalls, type Tokens } from "./calls.ts";
import { completionWords } from "./client-errors.ts";
import type { ChatCompletion, ChatRequest } from "./completion.ts";
import type { WireFormat } from "./formats/format.ts";
import { formatOf } from "./formats/index.ts";
import { estimatedTokens } from "./tokens.ts";

/** One server with one model: calls that wait their turn, have an end, and are tried again. */
export interface EndpointClient extends Omit<Calls<ChatRequest, ChatCompletion>, "call"> {
  /** See `endpointIdentity`. */
  readonly identity: string;
  /** Whether the prompt of these messages ends with the mark that begins thoughts; false where the server makes the prompt. */
  begunThinking(messages: ChatRequest["messages"]): boolean;
  /** One completion; see `Calls.call`. */
  chatCompletion(request: ChatRequest, signal: AbortSignal): Promise<ChatCompletion>;
}

/** Opens a client; nothing is sent yet. Throws EnvironmentError when a key is missing. */
export function openEndpointClient(recipe: EndpointRecipe, options: EndpointOptions = {}): EndpointClient {
  const format = formatOf(recipe);
  const { call, ...client } = openCalls(recipe, completions(format, recipe), options);
  return {
    ...client,
    identity: endpointIdentity(recipe),
    begunThinking: (messages) => format.begunThinking?.(messages) ?? false,
    chatCompletion: call,
  };
}

const completions = (
  format: WireFormat,
  { stream, format: name }: EndpointRecipe,
): CallApi<ChatRequest, ChatCompletion> => ({
  ...format,
  words: completionWords,
  stream,
  fields: Object.keys,
  lacking(request) {
    const field = format.lacks?.find((one) => request[one] !== undefined);
    return field === undefined ? undefined : [field, `${name} calls have no such field`];
  },
  reading: () => format,
  most: (request) => ({
    inputTokens: mostPromptTokens(request),
    outputTokens: request.max_tokens * (request.n ?? 1),
  }),
  used: usedTokens,
});

/** More than any tokenizer makes of it: a token for each byte, and those of the chat template. */
const mostPromptTokens = ({ messages }: ChatRequest): number =>
  messages.reduce((tokens, { content }) => tokens + Buffer.byteLength(content) + 16, 256);

function usedTokens({ messages }: ChatRequest, { usage, choices }: ChatCompletion): Tokens {
  if (usage) return { inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens };
  const bytes = (texts: readonly string[]) => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return {
    inputTokens: estimatedTokens(bytes(messages.map(({ content }) => content))),
    outputTokens: estimatedTokens(
      bytes(choices.flatMap(({ message }) => [message.content ?? "", message.reasoning ?? ""])),
    ),
  };
}
