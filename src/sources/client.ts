import { setTimeout as sleep } from "node:timers/promises";
import { type EndpointRecipe, SourceError } from "../schema/index.ts";
import { type EndpointAddress, type Environment, endpointAddress } from "./address.ts";
import { connections, exchange, NoAnswer } from "./exchange.ts";
import { limiter } from "./limiter.ts";
import { backoffMs } from "./retry-delay.ts";
import { type Cure, type Verdict, verdictOn } from "./verdict.ts";
import type { ChatCompletion, ChatRequest } from "./wire.ts";

export interface EndpointOptions {
  /** Where the key and the proxies are named; the process's own if not given. */
  readonly environment?: Environment;
  /** Hears of what the server can't do and how it is got round. Never a secret. */
  readonly notice?: (text: string) => void;
  /** The first wait before another try; each later one is twice as long. 500 if not given. */
  readonly retryDelayMs?: number;
  /** Waits, and rejects when the signal aborts: for tests that look at the waits. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** A call that failed for good, while others may go well. */
export class CallError extends SourceError {
  /** Why, without the endpoint's name before it. */
  readonly reason: string;

  constructor(shown: string, reason: string) {
    super(`${shown}: ${reason}`);
    this.reason = reason;
  }
}

/** The server does not take a field of the request, and there is no way round it. */
export class RejectedFieldError extends SourceError {
  readonly rejected: string;

  constructor(message: string, rejected: string, hint: string) {
    super(message, { hint });
    this.rejected = rejected;
  }
}

/** One OpenAI-compatible server with one model: calls that wait their turn, have an end, and are tried again. */
export interface EndpointClient {
  /** The base URL without credentials. */
  readonly url: string;
  /** Content key of (URL without credentials, model). */
  readonly identity: string;
  readonly concurrency: number;
  readonly retries: number;
  /**
   * One chat completion. Tries again, as often as the recipe says, what may go well another time: no connection, a
   * hang, 408/409/425/429/5xx (after the time that `Retry-After` names), a broken or misshapen answer.
   * Throws CallError when this call failed for good, RejectedFieldError, SourceError when no call can go well
   * before a person has done something (key, model, credit, URL, a server that stays away), and the signal's reason.
   */
  chatCompletion(request: ChatRequest, signal: AbortSignal): Promise<ChatCompletion>;
  /** Whether the text repeats the endpoint's key: such a text must not be stored. */
  holdsSecret(text: string): boolean;
  /** A server's words, fit to be shown: on one short line, without secrets and control characters. */
  clean(words: string): string;
  close(): Promise<void>;
}

/** A server that asks for more than this is not waited for: a later run goes on from here. */
const longestWaitMs = 10 * 60_000;
/** Lost calls in a row, for each call at once, before the server counts as gone. */
const patience = 3;

/** Opens a client; nothing is sent yet. Throws EnvironmentError when the key is missing. */
export function openEndpointClient(recipe: EndpointRecipe, options: EndpointOptions = {}): EndpointClient {
  const environment = options.environment ?? process.env;
  const address = endpointAddress(recipe, environment);
  const dispatcher = connections(environment);
  const enter = limiter(recipe.concurrency);
  const wait =
    options.wait ??
    ((ms, signal) =>
      sleep(ms, undefined, { signal }).catch((error: unknown) => {
        signal.throwIfAborted();
        throw error;
      }));
  const bodyOf = dialect(recipe.model, (text) => options.notice?.(`${address.shown}: ${text}`));
  let pausedUntil = 0;
  let lostInRow = 0;

  const attempt = async (body: Record<string, unknown>, signal: AbortSignal): Promise<Verdict> => {
    const call = {
      method: "POST",
      url: address.chatUrl,
      headers: { ...address.headers, "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(body),
      timeoutMs: recipe.timeout_seconds * 1000,
    } as const;
    try {
      return verdictOn(await exchange(dispatcher, call, signal), Object.keys(body));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return error.final
        ? { kind: "fatal", reason: error.message, cure: "url" }
        : { kind: "retry", reason: error.message };
    }
  };

  const tried = async (request: ChatRequest, signal: AbortSignal): Promise<ChatCompletion> => {
    for (let tries = 0, backoff = 0; ; ) {
      const pause = Math.max(backoff, pausedUntil - Date.now());
      if (pause > 0) await wait(pause, signal);
      const body = bodyOf.fields(request);
      const verdict = await attempt(body, signal);
      if (verdict.kind === "completion") {
        lostInRow = 0;
        return verdict.completion;
      }
      const reason = clean(verdict.reason, address);
      if (verdict.kind === "failed") throw new CallError(address.shown, reason);
      if (verdict.kind === "fatal") throw fatalError(address, recipe, verdict.cure, reason);
      if (verdict.kind === "rejected") {
        if (bodyOf.adapt(verdict.field, reason, body)) continue;
        throw rejection(address, verdict.field, reason);
      }
      const asked = verdict.waitMs ?? 0;
      if (asked > longestWaitMs) throw waitTooLong(address, asked, reason);
      if (asked > 0) pausedUntil = Math.max(pausedUntil, Date.now() + asked);
      tries += 1;
      if (tries > recipe.retries) {
        lostInRow += 1;
        if (lostInRow >= patience * recipe.concurrency) throw goneError(address, lostInRow, reason);
        throw new CallError(address.shown, tries === 1 ? reason : `${reason}, tried ${tries} times`);
      }
      // Calls that wait for the same moment start spread out over a little time after it.
      backoff = Math.max(asked * (1 + Math.random() / 20), backoffMs(tries - 1, options.retryDelayMs ?? 500));
    }
  };

  return {
    url: address.shown,
    identity: address.identity,
    concurrency: recipe.concurrency,
    retries: recipe.retries,
    async chatCompletion(request, signal) {
      const leave = await enter(signal);
      try {
        return await tried(request, signal);
      } finally {
        leave();
      }
    },
    holdsSecret: address.secrets.holdsSecret,
    clean: (words) => clean(words, address),
    close: () => dispatcher.destroy(),
  };
}

/** How this server wants the fields: what differs is learnt from its first refusal. */
function dialect(model: string, notice: (text: string) => void) {
  let tokens = "max_tokens";
  let seeded = true;
  return {
    fields({ max_tokens, seed, ...rest }: ChatRequest): Record<string, unknown> {
      return { model, ...rest, [tokens]: max_tokens, ...(seeded && seed !== undefined ? { seed } : {}) };
    },
    /** Whether the call is to be made again in another way. `sent` is the body that was refused. */
    adapt(field: string, reason: string, sent: Readonly<Record<string, unknown>>): boolean {
      if (field === "max_tokens" && reason.includes("max_completion_tokens")) {
        // Another call may have learnt it meanwhile.
        if (tokens === "max_tokens") notice("takes max_completion_tokens in place of max_tokens");
        tokens = "max_completion_tokens";
        return true;
      }
      if (field === "seed" && sent.seed !== undefined) {
        if (seeded) notice("takes no seed: its responses can't be drawn again the same");
        seeded = false;
        return true;
      }
      return false;
    },
  };
}

function clean(reason: string, { secrets }: EndpointAddress): string {
  const line = secrets.scrub(reason.slice(0, 4000).replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")).trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

function fatalError(address: EndpointAddress, recipe: EndpointRecipe, cure: Cure, reason: string): SourceError {
  const { shown, keyInWords } = address;
  const { message, hint } = {
    key: {
      message: `${shown} does not accept ${keyInWords}`,
      hint:
        recipe.key_env === undefined
          ? "Put the key into an environment variable and name it in the endpoint's key_env."
          : `Check that ${recipe.key_env} holds a key of this server that is valid and may use "${recipe.model}".`,
    },
    model: {
      message: `${shown} has no model "${recipe.model}" for ${keyInWords}, or no chat completions at this URL`,
      hint: "Check the endpoint's model, and its url: most servers want one that ends in /v1. `amalgam doctor` lists the models.",
    },
    credit: {
      message: `${shown} has no credit left for ${keyInWords}`,
      hint: "Top up the account, then run again: what is in the ledger is kept.",
    },
    url: {
      message: `${shown} can't be used with ${keyInWords}`,
      hint: "Check the endpoint's url: it is the base of an OpenAI-compatible API, most of which end in /v1.",
    },
  }[cure];
  return new SourceError(`${message} (${reason})`, { field: "endpoint", hint });
}

function rejection({ shown }: EndpointAddress, field: string, reason: string): RejectedFieldError {
  const hint = `Change ${field} in the recipe to what this server takes, or use another server.`;
  return new RejectedFieldError(`${shown} does not take the request's ${field} (${reason})`, field, hint);
}

function waitTooLong({ shown }: EndpointAddress, ms: number, reason: string): SourceError {
  return new SourceError(`${shown} asks to wait ${Math.ceil(ms / 60_000)} minutes (${reason})`, {
    hint: "Run again after that time: what is in the ledger is kept.",
  });
}

function goneError({ shown }: EndpointAddress, calls: number, reason: string): SourceError {
  const cure = reason.startsWith("HTTP 429")
    ? "Wait until the server's limit allows more calls, lower the endpoint's concurrency or raise its retries"
    : "Check that the server is up and that its url is right";
  return new SourceError(`${shown} has failed ${calls} calls in a row (${reason})`, {
    hint: `${cure}, then run again: what is in the ledger is kept.`,
  });
}
