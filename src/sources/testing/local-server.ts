import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ChatRequest } from "../completion.ts";

interface ReceivedCall {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: ChatRequest & Readonly<Record<string, unknown>>;
}

export interface LocalServer {
  /** The base URL, with /v1. */
  readonly url: string;
  readonly calls: readonly ReceivedCall[];
  /** The most calls that were open at once. */
  readonly mostOpen: () => number;
  readonly close: () => Promise<void>;
}

export type Handler = (
  call: ReceivedCall,
  answer: ServerResponse,
  /** How many calls came before. */
  before: number,
) => void | Promise<void>;

/** A real HTTP server on a free port of 127.0.0.1. */
export async function localServer(handler: Handler): Promise<LocalServer> {
  const calls: ReceivedCall[] = [];
  let open = 0;
  let most = 0;
  const server = createServer(async (given: IncomingMessage, answer: ServerResponse) => {
    open += 1;
    most = Math.max(most, open);
    answer.once("close", () => {
      open -= 1;
    });
    const chunks: Buffer[] = [];
    for await (const chunk of given) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const call: ReceivedCall = {
      method: given.method ?? "",
      path: given.url ?? "",
      authorization: given.headers.authorization,
      headers: given.headers,
      body: JSON.parse(text === "" ? "{}" : text) as ReceivedCall["body"],
    };
    await handler(call, answer, calls.push(call) - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    calls,
    mostOpen: () => most,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function sendJson(answer: ServerResponse, status: number, value: unknown, headers = {}): void {
  answer.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

/** An error as OpenAI writes it. */
export const openAiError = (message: string, code: string | null = null, param: string | null = null) => ({
  error: { message, type: "invalid_request_error", param, code },
});

export interface TestChoice {
  readonly content: string | null;
  readonly finish_reason?: string | null;
  readonly refusal?: string;
  readonly logprobs?: unknown;
}

/** A chat completion with every field of OpenAI's specification. */
export function completion(choices: readonly (string | TestChoice)[], completionTokens = 10 * choices.length): object {
  return {
    id: "chatcmpl-Test0123456789",
    object: "chat.completion",
    created: 1_760_000_000,
    model: "m-2026-01-01",
    choices: choices.map((choice, index) => {
      const {
        content,
        finish_reason = "stop",
        refusal = null,
        logprobs = null,
      } = typeof choice === "string" ? { content: choice } : choice;
      return { index, message: { role: "assistant", content, refusal, annotations: [] }, logprobs, finish_reason };
    }),
    usage: {
      prompt_tokens: 19,
      completion_tokens: completionTokens,
      total_tokens: 19 + completionTokens,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 0,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    },
    service_tier: "default",
    system_fingerprint: "fp_0123456789",
  };
}

/** Fields of a chat-completions request in OpenAI's specification, as far as a text model concerns them. */
const knownFields = new Set(
  "model messages frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata n presence_penalty reasoning_effort response_format seed service_tier stop store stream stream_options temperature top_logprobs top_p user".split(
    " ",
  ),
);

/** A server that is as strict as OpenAI's: unknown fields are refused; each choice tells its call's seed and its place. */
export const strict: Handler = ({ method, path, body }, answer) => {
  if (method !== "POST" || path !== "/v1/chat/completions") return sendJson(answer, 404, openAiError("no such page"));
  const unknown = Object.keys(body).find((field) => !knownFields.has(field));
  if (unknown !== undefined)
    return sendJson(answer, 400, openAiError(`Unrecognized request argument supplied: ${unknown}`));
  const choices = Array.from({ length: body.n ?? 1 }, (_, i) => `answer ${body.seed}/${i}`);
  sendJson(answer, 200, completion(choices));
};
