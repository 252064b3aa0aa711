import { setMaxListeners } from "node:events";
import { eventQueue, type TokenLogProb, textWriter } from "../generation/index.ts";
import type { Finish } from "../schema/index.ts";
import type { RemoteRequest } from "./engine/messages.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { ServedModel } from "./served-models.ts";

/** Responses that a request asks for. */
export interface Draw extends Omit<RemoteRequest, "prompt" | "choices"> {
  readonly prompts: readonly (readonly number[])[];
  /** Responses to each prompt. */
  readonly n: number;
}

/** What comes of it; choice `i * n + k` is response k to prompt i. */
export type Drawn =
  /** A prompt is computed. */
  | { readonly kind: "prompt"; readonly prompt: number; readonly logProbs: readonly (TokenLogProb | null)[] }
  /** Some more text of a choice, and the tokens that it came with. */
  | { readonly kind: "text"; readonly choice: number; readonly text: string; readonly tokens: readonly DrawnToken[] }
  /** `ending` is the token that ended it, where one did and log-probs are told. */
  | {
      readonly kind: "end";
      readonly choice: number;
      readonly finish: Finish;
      readonly ending: TokenLogProb | undefined;
    };

export interface DrawnToken {
  readonly id: number;
  readonly logProb: TokenLogProb | undefined;
}

/** Who asks, and what hears of the work. */
export interface DrawingContext {
  readonly client: string;
  readonly queue: FairQueue;
  readonly started: () => void;
}

/**
 * Draws the responses of a request, each prompt when its turn comes in the line.
 *
 * @throws ApiError where the line is full or the wait too long; RequestError for what the model can't compute; the
 * signal's reason when it aborts.
 */
export async function* draw(
  model: ServedModel,
  request: Draw,
  { client, queue, started }: DrawingContext,
  signal: AbortSignal,
): AsyncGenerator<Drawn> {
  const left = new AbortController();
  const stop = AbortSignal.any([signal, left.signal]);
  // Each prompt listens for it.
  setMaxListeners(0, stop);
  const jobs = request.prompts.map((prompt) => ({ size: request.n, promptTokens: prompt.length }));
  const places = queue.enter(client, jobs, stop);
  const events = eventQueue<Drawn>(() => left.abort());
  const drawing = Promise.all(
    places.map(async (coming, index) => {
      const place = await coming;
      try {
        started();
        for await (const event of answers(model, request, index, stop)) {
          if (event.kind === "text") place.served(event.tokens.length);
          events.push(event);
        }
        stop.throwIfAborted();
      } finally {
        place.leave();
      }
    }),
  ).then(
    () => events.end(),
    (error: unknown) => {
      events.end(error);
      left.abort();
    },
  );
  try {
    yield* events;
  } finally {
    left.abort();
    await drawing;
  }
}

/** The events of one prompt's responses. */
async function* answers(model: ServedModel, request: Draw, index: number, signal: AbortSignal): AsyncGenerator<Drawn> {
  const { prompts, n, ...wanted } = request;
  const choices = Array.from({ length: n }, (_, k) => index * n + k);
  const written = choices.map(() => ({
    writer: textWriter(model.tokenizer, request),
    tokens: [] as DrawnToken[],
  }));
  for await (const event of model.submit({ ...wanted, prompt: prompts[index]!, choices }, signal)) {
    if (event.kind === "prompt") {
      yield { kind: "prompt", prompt: index, logProbs: event.logProbs };
      continue;
    }
    const choice = choices[event.response]!;
    const { writer, tokens } = written[event.response]!;
    if (event.kind === "token") {
      tokens.push({ id: event.id, logProb: event.logProb });
      const text = writer.push(event.id);
      if (text !== "") yield { kind: "text", choice, text, tokens: tokens.splice(0) };
    } else {
      const text = writer.end();
      if (text !== "" || tokens.length > 0) yield { kind: "text", choice, text, tokens: tokens.splice(0) };
      yield { kind: "end", choice, finish: event.finish, ending: event.ending };
    }
  }
}
