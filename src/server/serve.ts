import { setMaxListeners } from "node:events";
import { createServer, type Server, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { type DestinationStream, pino } from "pino";
import type { LocateOptions } from "../models/index.ts";
import { EnvironmentError, type ServerLimits, serverLimitsSchema } from "../schema/index.ts";
import { ApiError } from "./api-error.ts";
import { createApp } from "./app.ts";
import { fairQueue } from "./fair-queue.ts";
import { keysFrom } from "./keys.ts";
import { createMetrics } from "./metrics.ts";
import { limitReceiving } from "./receive-limit.ts";
import { openServedModels, type ServedModelSettings } from "./served-models.ts";

export interface ServeOptions extends ServedModelSettings {
  /** Where to listen: 127.0.0.1 unless given. */
  readonly host?: string;
  /** 0 takes a free one; 8000 unless given. */
  readonly port?: number;
  readonly limits?: Partial<ServerLimits>;
  /** Environment variables that hold the keys; without any, everybody who reaches the server may use it. */
  readonly keyVariables?: readonly string[];
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Takes the log, a line of JSON each; standard error unless given. */
  readonly log?: DestinationStream;
  readonly locating: LocateOptions;
}

export interface ServerHandle {
  /** Where it listens. */
  readonly url: string;
  /** Throws when what computes ends by itself: nothing can be served any more. */
  readonly ended: Promise<void>;
  /** Takes no more requests, ends those that are there (for at most `drain_seconds`), and frees the models. */
  close(): Promise<void>;
}

const loopbacks = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
const headBytes = 16 * 1024;
/** How long connections on which nothing was ever sent stay when the server ends. */
const unusedMs = 500;

/**
 * Opens the models and serves them over OpenAI's HTTP API.
 *
 * @throws ModelError, EnvironmentError for models, keys or an address that can't be used
 */
export async function serve(options: ServeOptions): Promise<ServerHandle> {
  const { host = "127.0.0.1", port = 8000, environment = process.env } = options;
  const limits = serverLimitsSchema.parse(options.limits ?? {});
  const keys = keysFrom(options.keyVariables ?? [], environment);
  const log = pino({ base: null }, options.log ?? pino.destination({ fd: 2, sync: true }));
  const defaults = { rows: limits.running, cacheMib: limits.cache_mib };
  const models = await openServedModels(options, defaults, options.locating);
  const queue = fairQueue(limits);
  const ended = new AbortController();
  // Every request listens for it.
  setMaxListeners(0, ended.signal);
  let draining = false;
  const service = { models, queue, limits, metrics: createMetrics(queue, models) };
  const loopback = loopbacks.test(host);
  const app = createApp({ service, keys, log, loopback, ended: ended.signal, draining: () => draining });
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    // The server reads bodies itself, and its own time limit ends those that it does not want.
    autoCleanupIncoming: false,
    errorHandler: (error) => {
      log.warn({ err: String(error) }, "refused");
      return new ApiError(400, "the request's head can't be read").response();
    },
  });
  const server = createServer(
    {
      maxHeaderSize: headBytes,
      // Answered below, in the form of all errors.
      requireHostHeader: false,
      // `limitReceiving` takes their place.
      requestTimeout: 0,
      headersTimeout: 0,
    },
    listener,
  );
  // Longer than any step of an engine holds up the event loop: a connection must not end while a request lies on it unread.
  server.keepAliveTimeout = 75_000;
  server.maxConnections = limits.connections;
  // A client that neither reads its answer nor goes away.
  server.setTimeout((limits.seconds + limits.receive_seconds) * 1000);
  server.on("clientError", answerBroken);
  const endUnused = limitReceiving(server, limits.receive_seconds, (socket) =>
    answerRaw(socket, 408, "the request took too long to arrive"),
  );
  try {
    await listening(server, host, port);
  } catch (cause) {
    await models.close();
    throw new EnvironmentError(`can't listen on ${host}, port ${port}: ${(cause as Error).message}`, {
      cause,
      hint: "Give another --host or --port.",
    });
  }
  if (!loopback && keys.count === 0) log.warn("whoever reaches this server may use it: it has no key (--key-env)");
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
  log.info({ url, models: models.list().map(({ name }) => name) }, "listening");
  let closing: Promise<void> | undefined;
  const drain = async () => {
    draining = true;
    log.info({ running: queue.running, waiting: queue.waiting }, "draining");
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const timer = setTimeout(() => {
      ended.abort();
      setTimeout(() => server.closeAllConnections(), 1000).unref();
    }, limits.drain_seconds * 1000);
    const idle = setInterval(() => server.closeIdleConnections(), 100);
    // Clients open some in advance; whoever sends a request on one meanwhile is told that the server ends.
    const unused = setTimeout(endUnused, unusedMs);
    await closed;
    clearTimeout(timer);
    clearInterval(idle);
    clearTimeout(unused);
    await models.close();
    log.info("ended");
  };
  return {
    url,
    ended: models.ended,
    close() {
      closing ??= drain();
      return closing;
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Answers what is no HTTP, or has too long a head, where there is still somebody to answer. */
function answerBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { writable, bytesWritten = 0 } = socket as Socket;
  if (!writable || error.code === "ECONNRESET" || bytesWritten > 0) socket.destroy();
  else if (error.code === "HPE_HEADER_OVERFLOW")
    answerRaw(socket, 431, `the request's head has more than ${headBytes} bytes`);
  else answerRaw(socket, 400, "this is no HTTP request that can be read");
}

/** Answers on a connection itself, and ends it. */
function answerRaw(socket: Duplex, status: number, message: string): void {
  const body = JSON.stringify(new ApiError(status, message).body);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
