import type { ServerResponse } from "node:http";
import { completion, type Handler, openAiError, sendJson } from "./local-server.ts";

/** What a server under fire was asked, and what it gave. */
export interface FireRecord {
  /** Whole answers that left, each text once: which model and prompt they are for. */
  readonly given: Map<string, { readonly model: string; readonly prompt: string }>;
  /** Responses asked for since the last `begin`, by model and prompt, in the order of asking. */
  readonly asked: { readonly model: string; readonly prompt: string; readonly n: number }[];
  readonly faults: Map<Fault, number>;
  calls(): number;
  open(): number;
  begin(): void;
}

const faults = [
  "429",
  "500",
  "reset",
  "reset in the middle",
  "hang",
  "cut JSON",
  "empty",
  "duplicated chunks",
] as const;
type Fault = (typeof faults)[number];

const half = (text: string) => text.slice(0, Math.ceil(text.length / 2));

/**
 * A handler that answers OpenAI's chat completions and Anthropic's messages, streaming or not, after 20 to 60 ms, and fails
 * one of five calls, in one way after the other. Every text is given once only.
 */
export function fire(seed: number, shareOfFaults = 0.2): { readonly handler: Handler; readonly record: FireRecord } {
  const given: FireRecord["given"] = new Map();
  const asked: FireRecord["asked"] = [];
  const met = new Map<Fault, number>(faults.map((fault) => [fault, 0]));
  let state = seed;
  let calls = 0;
  let open = 0;
  let texts = 0;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };

  const handler: Handler = async ({ path, body }, answer) => {
    calls += 1;
    open += 1;
    answer.once("close", () => {
      open -= 1;
    });
    const prompt = body.messages.at(-1)!.content;
    const model = String(body.model);
    const n = body.n ?? 1;
    asked.push({ model, prompt, n });
    const failing = random() < shareOfFaults ? faults[Math.floor(random() * faults.length)]! : undefined;
    await new Promise((resolve) => setTimeout(resolve, 20 + 40 * random()));
    // Who asked may have been killed meanwhile.
    if (answer.destroyed) return;
    const answers = Array.from({ length: n }, () => `text ${texts++} of the rain and the sea`);
    const whole = path.endsWith("/messages") ? message(answers[0]!) : completion(answers);
    const stream = body.stream === true;
    const sent = stream
      ? events(path.endsWith("/messages"), answers, failing === "duplicated chunks")
      : JSON.stringify(whole);
    // A body that isn't streamed has no chunks to come twice: it is sent twice.
    const twice = failing === "duplicated chunks" && !stream;
    if (failing !== undefined) met.set(failing, met.get(failing)! + 1);
    switch (failing) {
      case "429":
        return sendJson(answer, 429, openAiError("slow down"), { "retry-after-ms": "20" });
      case "500":
        return sendJson(answer, 500, openAiError("out of order"));
      case "reset":
        return void answer.destroy();
      case "hang":
        return;
      case "empty":
        return void answer.writeHead(200, head(stream)).end();
      case "reset in the middle":
        answer.writeHead(200, { ...head(stream), "content-length": Buffer.byteLength(sent) });
        return void answer.write(half(sent), () => answer.destroy());
      case "cut JSON":
        return void answer.writeHead(200, head(stream)).end(half(sent));
      case "duplicated chunks":
        return void answer.writeHead(200, head(stream)).end(twice ? sent + sent : sent);
      default:
        await sendWhole(answer, sent, head(stream));
        for (const text of answers) given.set(text, { model, prompt });
    }
  };
  return {
    handler,
    record: {
      given,
      asked,
      faults: met,
      calls: () => calls,
      open: () => open,
      begin: () => {
        asked.length = 0;
      },
    },
  };
}

const head = (stream: boolean) => ({ "content-type": stream ? "text/event-stream" : "application/json" });

/** Resolves when the answer has left; never, if the client is gone before. */
async function sendWhole(answer: ServerResponse, text: string, headers: Record<string, string>): Promise<void> {
  await new Promise<void>((resolve) => {
    answer.once("finish", resolve);
    answer.writeHead(200, headers).end(text);
  });
}

const message = (text: string) => ({
  content: [{ type: "text", text }],
  stop_reason: "end_turn",
  usage: { input_tokens: 9, output_tokens: 8 },
});

/** A stream with a piece for each word; with `twice`, one of the pieces comes again. */
function events(anthropic: boolean, answers: readonly string[], twice: boolean): string {
  const all: object[] = [];
  if (anthropic) {
    const start = { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } };
    all.push({ type: "message_start", message: { usage: { input_tokens: 9, output_tokens: 1 } } }, start);
    if (twice) all.push(start);
    for (const text of words(answers[0]!))
      all.push({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } });
    all.push({ type: "content_block_stop", index: 0 });
    all.push({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 8 } });
    all.push({ type: "message_stop" });
  } else {
    let tokens = 0;
    for (const [index, answer] of answers.entries()) {
      const pieces = words(answer).map((content) => ({
        choices: [{ index, delta: { content }, finish_reason: null }],
      }));
      tokens += pieces.length;
      all.push(...pieces);
      if (twice && index === 0) all.push(pieces.at(-1)!);
      all.push({ choices: [{ index, delta: {}, finish_reason: "stop" }] });
    }
    all.push({ choices: [], usage: { prompt_tokens: 9, completion_tokens: tokens } });
  }
  return `${all.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}${anthropic ? "" : "data: [DONE]\n\n"}`;
}

const words = (text: string) => text.match(/\S+\s*/g) ?? [];
