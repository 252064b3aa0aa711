import { setTimeout as sleep } from "node:timers/promises";
import type { CallRecipe } from "../schema/index.ts";
import { adaptiveLimiter, type CallOutcome } from "./adaptive.ts";
import { callAddress, type EndpointAddress, type Environment } from "./address.ts";
import { breaker } from "./breaker.ts";
import type { Budget, Reservation, Spending } from "./budget.ts";
import { CallError, type CallWords, fatalError, goneError, rejection, waitTooLong } from "./client-errors.ts";
import { learntDialect } from "./dialect.ts";
import { type Call, connections, exchange, NoAnswer } from "./exchange.ts";
import type { Dialect, WireAddress } from "./formats/format.ts";
import { hedged } from "./hedge.ts";
import { rateLimiter } from "./rate.ts";
import { rateHeaderWaitMs } from "./rate-headers.ts";
import { backoffMs } from "./retry-delay.ts";
import { type Reading, type Verdict, verdictOn } from "./verdict.ts";

export interface EndpointOptions {
  /** Where the key and the proxies are named; the process's own if not given. */
  readonly environment?: Environment;
  /** Hears of what the server can't do and how it is got round. Never a secret. */
  readonly notice?: (text: string) => void;
  /** What the calls may cost, shared with other endpoints; without it, whatever they do. */
  readonly budget?: Budget;
  /** The first wait before another try; each later one is twice as long. 500 if not given. */
  readonly retryDelayMs?: number;
  /** Waits, and rejects when the signal aborts: for tests that look at the waits. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How requests of one kind are made of an API, and what comes back. */
export interface CallApi<Request, Given> extends WireAddress {
  readonly words: CallWords;
  body(request: Request, dialect: Dialect): Record<string, unknown>;
  /** Fields of a request that a server may refuse, beside those of the body. */
  fields(request: Request): readonly string[];
  /** A field of the request that this API can't carry, and why. */
  lacking?(request: Request): readonly [field: string, reason: string] | undefined;
  reading(request: Request): Reading<Given>;
  /** Whether what is given comes in pieces. */
  readonly stream: boolean;
  /** Tokens that a call may come to at most. */
  most(request: Request): Tokens;
  used(request: Request, given: Given): Tokens;
}

/** Calls to one server that wait their turn, have an end, and are tried again. */
export interface Calls<Request, Given> {
  /** The base URL without credentials. */
  readonly url: string;
  /** The most calls at a time; how many there are at the moment is found by how the server bears them. */
  readonly concurrency: number;
  readonly retries: number;
  /**
   * One call. Tries again, as often as the recipe says, what may go well another time: no connection, a hang,
   * 408/409/425/429/5xx (after the time that `Retry-After` names), a broken or misshapen answer.
   * Throws CallError when this call failed for good, RejectedFieldError, SourceError when no call can go well
   * before a person has done something (key, model, credit, URL, budget, a server that stays away), and the signal's
   * reason.
   */
  call(request: Request, signal: AbortSignal): Promise<Given>;
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
/** Failures in a row before calls wait for one that tries whether the server is back. */
const breaksAfter = 8;

/** Opens a server for calls of an API; nothing is sent yet. Throws EnvironmentError when a key is missing. */
export function openCalls<Request, Given>(
  recipe: CallRecipe,
  api: CallApi<Request, Given>,
  options: EndpointOptions = {},
): Calls<Request, Given> {
  const environment = options.environment ?? process.env;
  const address = callAddress(recipe, environment, api);
  const dispatcher = connections(environment);
  const places = adaptiveLimiter(recipe.concurrency);
  const rate = rateLimiter({ requests: recipe.requests_per_minute, tokens: recipe.tokens_per_minute });
  const retryDelayMs = options.retryDelayMs ?? 500;
  const down = breaker(breaksAfter, 2 * retryDelayMs);
  const wait = options.wait ?? waiting;
  const dialect = learntDialect((text) => options.notice?.(`${address.shown}: ${text}`));
  let pausedUntil = 0;
  let lostInRow = 0;
  let isToldDown = false;
  /** What a call's tokens come to, for the pace: the latest answers' mean. */
  let usualTokens = 0;

  const asked = async (
    call: Call,
    reading: Reading<Given>,
    sent: readonly string[],
    signal: AbortSignal,
  ): Promise<Verdict<Given>> => {
    try {
      const answer = await exchange(dispatcher, call, signal);
      const pause = rateHeaderWaitMs(answer.headers, usualTokens);
      if (pause > 0 && answer.status < 300) pausedUntil = Math.max(pausedUntil, Date.now() + pause);
      return verdictOn(answer, reading, sent, api.stream);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      if (error.kind === "final") return { kind: "fatal", reason: error.message, cure: "url" };
      const pressed = error.kind === "late";
      return { kind: "retry", reason: error.message, pressed, billed: error.kind !== "unheard" };
    }
  };

  /** One try, in a place of its own, when it is its turn and the server, the limits and the budget allow it. */
  const attempt = async (request: Request, backoff: number, signal: AbortSignal): Promise<Attempt<Given>> => {
    let clock = Date.now();
    const pause = async (ms: number): Promise<void> => {
      if (ms <= 0) return;
      await wait(ms, signal);
      clock = Math.max(clock + ms, Date.now());
    };
    await pause(backoff);
    const place = await places.enter(signal);
    let outcome: CallOutcome = { kind: "other" };
    let reservation: Reservation | undefined;
    try {
      // Here, so that those in the queue for a place are held back as well.
      await down.pass(signal);
      const most = api.most(request);
      const hedges = recipe.hedge_after_seconds !== undefined;
      reservation = await options.budget?.reserve(hedges ? both(most, most) : most, recipe.price, signal);
      const guessedTokens = usualTokens;
      const paced = rate.reserve(guessedTokens);
      await pause(Math.max(paced, pausedUntil - Math.max(clock, Date.now())));
      const written = dialect.current();
      const body = { ...api.body(request, written), ...recipe.body };
      const sent = [...new Set([...api.fields(request), ...Object.keys(body)])];
      const call = {
        method: "POST",
        url: address.callUrl,
        headers: {
          ...address.headers,
          "content-type": "application/json",
          accept: api.stream ? "text/event-stream, application/json" : "application/json",
        },
        body: JSON.stringify(body),
        timeoutMs: recipe.timeout_seconds * 1000,
        stream: api.stream,
      } as const;
      const startedAt = performance.now();
      const { value: verdict, calls } = await hedged(
        (stop) => asked(call, api.reading(request), sent, stop),
        ({ kind }) => kind === "retry",
        recipe.hedge_after_seconds === undefined ? undefined : recipe.hedge_after_seconds * 1000,
        signal,
      );
      const used = usageOf(verdict, (given) => api.used(request, given));
      if (calls > 1) rate.reserve(guessedTokens);
      // Of two calls for one answer nobody knows what the one that was dropped came to.
      reservation?.settle(calls > 1 && used !== undefined ? both(used, most) : used);
      if (verdict.kind === "given" && used !== undefined) {
        const tokens = used.inputTokens + used.outputTokens;
        rate.correct(tokens - guessedTokens);
        usualTokens = usualTokens === 0 ? tokens : 0.9 * usualTokens + 0.1 * tokens;
        outcome = { kind: "done", ms: performance.now() - startedAt, tokens: used.outputTokens };
      } else if (verdict.kind === "retry" && verdict.pressed) outcome = { kind: "pressed" };
      return { verdict, written };
    } finally {
      // Cut off in between: the server may have answered.
      reservation?.settle();
      place.leave(outcome);
    }
  };

  /** Notes whether the server is there, and gives it up where it has been away for too long. */
  const watch = (verdict: Verdict<Given>, reason: string): void => {
    // One that says that it has too much to do is there.
    if (verdict.kind !== "retry" || reason.startsWith("HTTP 4")) {
      down.succeeded();
      if (isToldDown) options.notice?.(`${address.shown}: answers again`);
      isToldDown = false;
      return;
    }
    const silentMs = down.failed();
    if (silentMs === undefined) return;
    if (silentMs > recipe.give_up_seconds * 1000) throw goneError(address, reason, { seconds: silentMs / 1000 });
    if (!isToldDown)
      options.notice?.(
        `${address.shown}: gives nothing (${reason}); it is tried now and then, and given up after ${recipe.give_up_seconds} seconds`,
      );
    isToldDown = true;
  };

  const tried = async (request: Request, signal: AbortSignal): Promise<Given> => {
    const lacking = api.lacking?.(request);
    if (lacking !== undefined) throw rejection(address, ...lacking);
    for (let tries = 0, backoff = 0; ; ) {
      const { verdict, written } = await attempt(request, backoff, signal);
      const reason = "reason" in verdict ? clean(verdict.reason, address) : "";
      watch(verdict, reason);
      if (verdict.kind === "given") {
        lostInRow = 0;
        return verdict.given;
      }
      if (verdict.kind === "failed") throw new CallError(address.shown, reason, true);
      if (verdict.kind === "fatal") throw fatalError(address, recipe, verdict.cure, reason, api.words);
      if (verdict.kind === "rejected") {
        if (!dialect.adapt(verdict.field, reason, written)) throw rejection(address, verdict.field, reason);
        backoff = 0;
        continue;
      }
      const waitMs = verdict.waitMs ?? 0;
      if (waitMs > longestWaitMs) throw waitTooLong(address, waitMs, reason);
      if (waitMs > 0) pausedUntil = Math.max(pausedUntil, Date.now() + waitMs);
      tries += 1;
      if (tries > recipe.retries) {
        lostInRow += 1;
        if (lostInRow >= patience * places.limit()) throw goneError(address, reason, { calls: lostInRow });
        throw new CallError(address.shown, tries === 1 ? reason : `${reason}, tried ${tries} times`);
      }
      // Calls that wait for the same moment start spread out over a little time after it.
      backoff = Math.max(waitMs * (1 + Math.random() / 20), backoffMs(tries - 1, retryDelayMs));
    }
  };

  return {
    url: address.shown,
    concurrency: recipe.concurrency,
    retries: recipe.retries,
    call: tried,
    holdsSecret: address.secrets.holdsSecret,
    clean: (words) => clean(words, address),
    close: () => dispatcher.destroy(),
  };
}

interface Attempt<Given> {
  readonly verdict: Verdict<Given>;
  readonly written: Dialect;
}

const waiting = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });

export type Tokens = Pick<Spending, "inputTokens" | "outputTokens">;

const both = (one: Tokens, other: Tokens): Tokens => ({
  inputTokens: one.inputTokens + other.inputTokens,
  outputTokens: one.outputTokens + other.outputTokens,
});

/** What a call came to; undefined where nobody knows. */
function usageOf<Given>(verdict: Verdict<Given>, used: (given: Given) => Tokens): Tokens | undefined {
  if (verdict.kind === "given") return used(verdict.given);
  if (verdict.kind === "retry" && verdict.billed) return undefined;
  return { inputTokens: 0, outputTokens: 0 };
}

function clean(reason: string, { secrets }: EndpointAddress): string {
  const line = secrets.scrub(reason.slice(0, 4000).replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")).trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
