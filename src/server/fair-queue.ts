import type { ServerLimits } from "../schema/index.ts";
import { ApiError } from "./api-error.ts";

/** Responses to one prompt, which start together. */
export interface Job {
  /** How many responses. */
  readonly size: number;
  readonly promptTokens: number;
}

/** A job's place among those that are computed. */
export interface Place {
  /** Counts a token that was computed for it. */
  served(tokens: number): void;
  leave(): void;
}

interface Waiting {
  readonly job: Job;
  readonly request: Request;
  readonly start: (place: Place) => void;
  readonly refuse: (error: unknown) => void;
}

/** Jobs that came together: they are refused together, until one has started. */
interface Request {
  readonly client: Client;
  started: boolean;
  readonly waiting: Waiting[];
  /** Called when none of it waits any more. */
  settled: () => void;
}

interface Client {
  readonly name: string;
  /** Tokens served: what a prompt's cost once, and a response's twice. */
  counter: number;
  readonly waiting: Waiting[];
  running: number;
}

export interface FairQueue {
  /**
   * Puts jobs in line: a promise for each, of its place. A job that the signal takes away leaves the line.
   * @throws ApiError 429 when the line is full
   */
  enter(client: string, jobs: readonly Job[], signal: AbortSignal): Promise<Place>[];
  readonly waiting: number;
  readonly running: number;
}

const responseWeight = 2;
const longestRetrySeconds = 60;

/**
 * The line before the models. The client that has been served least goes first, counted in tokens by the virtual token
 * counter of Sheng et al. (OSDI 2024): a client that comes anew starts level with those that are served now, so that
 * nobody is ahead for having been away. Where the line is full, the client with the longest part of it gives way: its
 * latest request that has not started is refused, and not that of a client with less.
 */
export function fairQueue(limits: Pick<ServerLimits, "running" | "waiting" | "waiting_seconds">): FairQueue {
  const clients = new Map<string, Client>();
  let waiting = 0;
  let running = 0;
  /** The counter of the client that was served last: those that come anew start there. */
  let level = 0;
  /** Running average of how long a response takes. */
  let seconds = 1;

  const retryAfterSeconds = () =>
    Math.min(longestRetrySeconds, Math.max(1, Math.ceil((waiting * seconds) / limits.running)));

  const full = () =>
    new ApiError(429, "too many requests are waiting: try again later", {
      code: "rate_limit_exceeded",
      retryAfterSeconds: retryAfterSeconds(),
    });

  const takeOut = (entry: Waiting) => {
    const { request } = entry;
    const { client } = request;
    client.waiting.splice(client.waiting.indexOf(entry), 1);
    request.waiting.splice(request.waiting.indexOf(entry), 1);
    waiting -= 1;
    if (request.waiting.length === 0) request.settled();
  };

  const refuse = (request: Request, error: unknown) => {
    for (const entry of [...request.waiting]) {
      takeOut(entry);
      entry.refuse(error);
    }
    forget(request.client);
  };

  /** An idle client is remembered only while it is ahead. */
  const forget = (client: Client) => {
    const idle = client.waiting.length === 0 && client.running === 0;
    if (idle && client.counter <= level) clients.delete(client.name);
    if (running === 0 && waiting === 0) clients.clear();
  };

  const fill = () => {
    for (;;) {
      let next: Client | undefined;
      for (const client of clients.values())
        if (client.waiting.length > 0 && (next === undefined || client.counter < next.counter)) next = client;
      if (next === undefined) return;
      const entry = next.waiting[0]!;
      // A job that is larger than all places together starts alone.
      if (running > 0 && running + entry.job.size > limits.running) return;
      level = Math.max(level, next.counter);
      takeOut(entry);
      entry.request.started = true;
      start(next, entry);
    }
  };

  const start = (client: Client, { job, start }: Waiting) => {
    running += job.size;
    client.running += job.size;
    client.counter += job.promptTokens;
    const begun = performance.now();
    let gone = false;
    start({
      served(tokens) {
        client.counter += responseWeight * tokens;
      },
      leave() {
        if (gone) return;
        gone = true;
        running -= job.size;
        client.running -= job.size;
        seconds += ((performance.now() - begun) / 1000 - seconds) / 16;
        forget(client);
        fill();
      },
    });
  };

  /** Makes room by refusing what the client with the longest line asked for last; whether there is room now. */
  const makeRoom = (client: Client, count: number): boolean => {
    while (waiting + count > limits.waiting) {
      let longest: Client | undefined;
      for (const other of clients.values())
        if (longest === undefined || other.waiting.length > longest.waiting.length) longest = other;
      const latest = longest?.waiting.findLast(({ request }) => !request.started)?.request;
      if (longest === undefined || longest === client || latest === undefined) return false;
      if (longest.waiting.length - latest.waiting.length < client.waiting.length + count) return false;
      refuse(latest, full());
    }
    return true;
  };

  return {
    enter(name, jobs, signal) {
      const client = clients.get(name) ?? { name, counter: 0, waiting: [], running: 0 };
      if (!makeRoom(client, jobs.length)) throw full();
      clients.set(name, client);
      if (client.waiting.length === 0 && client.running === 0) client.counter = Math.max(client.counter, level);
      const request: Request = { client, started: false, waiting: [], settled: () => {} };
      const timer = setTimeout(() => {
        if (request.started) return;
        const error = new ApiError(
          503,
          `the request waited ${limits.waiting_seconds} s for its turn: try again later`,
          {
            code: "waited_too_long",
            retryAfterSeconds: retryAfterSeconds(),
          },
        );
        refuse(request, error);
        fill();
      }, limits.waiting_seconds * 1000);
      const away = () => {
        refuse(request, signal.reason);
        fill();
      };
      request.settled = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", away);
      };
      const places = jobs.map(
        (job) =>
          new Promise<Place>((start, refuse) => {
            const entry: Waiting = { job, request, start, refuse };
            client.waiting.push(entry);
            request.waiting.push(entry);
            waiting += 1;
          }),
      );
      if (signal.aborted) away();
      else signal.addEventListener("abort", away);
      fill();
      return places;
    },
    get waiting() {
      return waiting;
    },
    get running() {
      return running;
    },
  };
}
