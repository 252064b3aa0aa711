import type { IncomingMessage } from "node:http";
import type { ServerLimits } from "../schema/index.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedModels } from "./served-models.ts";

/** What every route works with. */
export interface Service {
  readonly models: ServedModels;
  readonly queue: FairQueue;
  readonly metrics: Metrics;
  readonly limits: ServerLimits;
}

/** One request on its way through the server. */
export interface Call {
  readonly id: string;
  readonly incoming: IncomingMessage;
  /** Who asks, as far as turns go: a key where there are several, else an address. */
  readonly client: string;
  /** Aborts when the client is gone, the time is over, or the server ends. */
  readonly signal: AbortSignal;
  /** Milliseconds of `performance.now()`. */
  readonly begun: number;
  /** Counts bytes of its body. @throws ApiError 429 when the bodies of all calls have too many */
  hold(bytes: number): void;
  /** What the log tells about it beside status and time. Never a text, never a header. */
  readonly facts: {
    model?: string;
    promptTokens?: number;
    responseTokens?: number;
    queueMs?: number;
    firstTokenMs?: number;
  };
}

/** Notes that a call's turn has come. */
export function noteTurn({ metrics }: Service, call: Call): void {
  if (call.facts.queueMs !== undefined) return;
  call.facts.queueMs = Math.round(performance.now() - call.begun);
  metrics.waited(call.facts.queueMs / 1000);
}

/** Notes that the first text has come. */
export function noteText({ metrics }: Service, call: Call): void {
  if (call.facts.firstTokenMs !== undefined) return;
  call.facts.firstTokenMs = Math.round(performance.now() - call.begun);
  metrics.firstToken(call.facts.firstTokenMs / 1000);
}
