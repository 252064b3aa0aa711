import { checkForm } from "../generation/index.ts";
import { RequestError } from "../schema/index.ts";
import { answer, frameOf, usage } from "./answering.ts";
import { badRequest } from "./api-error.ts";
import { type Call, noteText, noteTurn, type Service } from "./call.ts";
import { callFormat, chatTokens } from "./chat-messages.ts";
import { type DrawnToken, draw } from "./drawing.ts";
import { type HeldForm, heldForm } from "./output-form.ts";
import { drawFor, refuseHuge } from "./preparing.ts";
import { type ChatRequest, chatSchema } from "./request-fields.ts";
import type { ServedModel } from "./served-models.ts";
import { chatLogProbs } from "./token-words.ts";
import { openAiId, type ToolCall } from "./tool-calls.ts";
import { firstCallOnly, toolCallReader, wholeCallReader } from "./tool-reader.ts";

/** Some more of a choice. */
interface Piece {
  readonly choice: number;
  readonly content: string;
  readonly calls: readonly ToolCall[];
  readonly tokens: readonly DrawnToken[];
  readonly finish: string | null;
}

/** `POST /v1/chat/completions` */
export const chatCompletions = (service: Service, call: Call, failed: (error: unknown) => unknown): Promise<Response> =>
  answer(service, call, failed, chatSchema, (service, call, model, request) => {
    const prepared = prepare(service, call, model, request);
    return { whole: () => completion(model, request, prepared), parts: () => chunks(model, request, prepared) };
  });

interface Prepared {
  readonly frame: ReturnType<typeof frameOf>;
  readonly counts: { readonly choices: number; readonly promptTokens: number; responseTokens: number };
  readonly pieces: AsyncGenerator<Piece>;
  /** A call of a tool in OpenAI's form, with a new id. */
  readonly spelled: ReturnType<typeof spelledBy>;
}

function prepare(service: Service, call: Call, model: ServedModel, request: ChatRequest): Prepared {
  const { n = 1, logprobs = false, top_logprobs: top } = request;
  if (top !== undefined && !logprobs)
    throw badRequest("`top_logprobs` may only be given with `logprobs: true`", "top_logprobs");
  const held = heldForm(request);
  const characters = request.messages.reduce((sum, { content }) => sum + content.length, 0);
  refuseHuge(model, characters, "messages");
  const prompt = chatTokens(model, request);
  const wanted = drawFor(model, service, request, {
    ...{ prompts: [prompt], promptField: "messages", responses: n },
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    maxTokensField: request.max_completion_tokens === undefined ? "max_tokens" : "max_completion_tokens",
  });
  const format = callFormat(model, request);
  const single = request.parallel_tool_calls === false;
  const reader = () => {
    if (held?.isCall) return wholeCallReader();
    if (format === undefined) return undefined;
    return single ? firstCallOnly(toolCallReader(format)) : toolCallReader(format);
  };
  const counts = { choices: n, promptTokens: prompt.length, responseTokens: 0 };
  call.facts.promptTokens = prompt.length;
  const asked = {
    ...wanted,
    // With one call at most, its end ends the response.
    stops: single && held === undefined && format?.close !== undefined ? [...wanted.stops, format.close] : wanted.stops,
    ...(format === undefined ? {} : { shown: format.marks }),
    ...(logprobs ? { topLogProbs: top ?? 0 } : {}),
    ...formOf(held),
  };
  const context = { client: call.client, queue: service.queue, started: () => noteTurn(service, call) };
  return {
    frame: frameOf("chatcmpl", call, model, request.model),
    counts,
    pieces: pieces(),
    spelled: spelledBy(format?.newId ?? openAiId),
  };

  async function* pieces(): AsyncGenerator<Piece> {
    const readers = Array.from({ length: n }, reader);
    const called = new Array<boolean>(n).fill(false);
    for await (const event of draw(model, asked, context, call.signal)) {
      if (event.kind === "prompt") continue;
      const { choice } = event;
      const reader = readers[choice];
      if (event.kind === "text") {
        noteText(service, call);
        counts.responseTokens += event.tokens.length;
        call.facts.responseTokens = counts.responseTokens;
        const { content, calls } = reader?.push(event.text) ?? { content: event.text, calls: [] };
        if (calls.length > 0) called[choice] = true;
        yield { choice, content, calls, tokens: event.tokens, finish: null };
      } else {
        const { content, calls } = reader?.end() ?? { content: "", calls: [] };
        if (calls.length > 0) called[choice] = true;
        yield { choice, content, calls, tokens: [], finish: called[choice] ? "tool_calls" : event.finish };
      }
    }
  }
}

/** The form that responses are held to. @throws ApiError 400 for a schema that can't be followed */
function formOf(held: HeldForm | undefined) {
  if (held === undefined) return {};
  try {
    checkForm(held.form);
    return { form: held.form };
  } catch (error) {
    if (error instanceof RequestError) throw badRequest(error.message, held.field);
    throw error;
  }
}

async function completion(
  { tokenizer }: ServedModel,
  request: ChatRequest,
  { frame, counts, pieces, spelled }: Prepared,
) {
  const choices = Array.from({ length: counts.choices }, () => ({
    content: "",
    calls: [] as ToolCall[],
    tokens: [] as DrawnToken[],
    finish: null as string | null,
  }));
  for await (const { choice, content, calls, tokens, finish } of pieces) {
    const whole = choices[choice]!;
    whole.content += content;
    whole.calls.push(...calls);
    for (const token of tokens) whole.tokens.push(token);
    whole.finish = finish ?? whole.finish;
  }
  return {
    ...{ ...frame, object: "chat.completion" },
    choices: choices.map(({ content, calls, tokens, finish }, index) => ({
      index,
      message: {
        role: "assistant",
        content: content === "" && calls.length > 0 ? null : content,
        refusal: null,
        ...(calls.length === 0 ? {} : { tool_calls: calls.map(spelled) }),
      },
      logprobs: request.logprobs === true ? chatLogProbs(tokenizer, tokens) : null,
      finish_reason: finish,
    })),
    usage: usage(counts.promptTokens, counts.responseTokens),
  };
}

async function* chunks({ tokenizer }: ServedModel, request: ChatRequest, { frame, counts, pieces, spelled }: Prepared) {
  const includeUsage = request.stream_options?.include_usage === true;
  const chunk = (index: number, delta: object, tokens: readonly DrawnToken[] = [], finish: string | null = null) => ({
    ...{ ...frame, object: "chat.completion.chunk" },
    choices: [
      {
        ...{ index, delta },
        logprobs: request.logprobs === true && tokens.length > 0 ? chatLogProbs(tokenizer, tokens) : null,
        finish_reason: finish,
      },
    ],
    ...(includeUsage ? { usage: null } : {}),
  });
  const told = new Array<number>(counts.choices).fill(-1);
  for await (const { choice, content, calls, tokens, finish } of pieces) {
    if (told[choice]! < 0) {
      told[choice] = 0;
      yield chunk(choice, { role: "assistant", content: "", refusal: null });
    }
    if (content !== "" || tokens.length > 0) yield chunk(choice, { content }, tokens);
    for (const call of calls) yield chunk(choice, { tool_calls: [{ index: told[choice]!++, ...spelled(call) }] });
    if (finish !== null) yield chunk(choice, {}, [], finish);
  }
  if (includeUsage)
    yield {
      ...{ ...frame, object: "chat.completion.chunk", choices: [] },
      usage: usage(counts.promptTokens, counts.responseTokens),
    };
}

const spelledBy =
  (newId: () => string) =>
  ({ name, arguments: given }: ToolCall) => ({
    ...{ id: newId(), type: "function" },
    function: { name, arguments: given },
  });
