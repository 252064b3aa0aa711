import { Buffer } from "node:buffer";
import type { Dispatcher } from "undici";
import { whenUsed } from "../schema/index.ts";
import type { Environment } from "./address.ts";
import type { HeaderValues } from "./headers.ts";

const undici = whenUsed<typeof import("undici")>("undici");

export interface Answer {
  readonly status: number;
  readonly headers: HeaderValues;
  readonly body: Uint8Array;
}

export interface Call {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds until the whole answer has to be there; of a stream, until its next piece has to be. */
  readonly timeoutMs: number;
  readonly stream?: boolean;
}

/** No whole answer came. The message is fit to be shown; it has no cause, for a cause may quote the call. */
export class NoAnswer extends Error {
  /**
   * `final`: no later try can succeed, as the certificate is not trusted or the call can't be sent at all. `late`: the
   * server took too long. `unheard`: it never had the call.
   */
  readonly kind: "final" | "late" | "unheard" | "cut";

  constructor(reason: string, kind: NoAnswer["kind"] = "cut") {
    super(reason);
    this.kind = kind;
  }
}

/** More than any completion: a server that sends without end is cut off here. */
const mostBytes = 64 * 2 ** 20;

/** Connections to an endpoint, through the proxy that the environment names, if any; never through it to this machine. */
export function connections(environment: Environment): Dispatcher {
  const excepted = environment.no_proxy ?? environment.NO_PROXY ?? "";
  return new (undici().EnvHttpProxyAgent)({
    httpProxy: environment.http_proxy ?? environment.HTTP_PROXY ?? "",
    httpsProxy: environment.https_proxy ?? environment.HTTPS_PROXY ?? "",
    noProxy: excepted === "*" ? "*" : ["localhost", "127.0.0.1", "[::1]", excepted].filter(Boolean).join(","),
    // One clock of our own bounds the whole call: a model may be silent for minutes while it writes.
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeout: 30_000,
  });
}

/**
 * One call and its whole answer, whatever its status. Redirects are not followed: the key goes to the host that the
 * recipe names. Throws NoAnswer, or the signal's reason when it aborts.
 */
export async function exchange(dispatcher: Dispatcher, call: Call, signal: AbortSignal): Promise<Answer> {
  signal.throwIfAborted();
  const { method, url, headers, body, timeoutMs } = call;
  const end = new AbortController();
  const abort = (): void => end.abort(signal.reason);
  const late = new NoAnswer(
    call.stream === true ? `silent for ${timeoutMs / 1000} s` : `no whole answer within ${timeoutMs / 1000} s`,
    "late",
  );
  // A Node timer longer than 2^31 - 1 ms would fire at once.
  const timer = setTimeout(() => end.abort(late), Math.min(timeoutMs, 2 ** 31 - 1));
  signal.addEventListener("abort", abort, { once: true });
  try {
    const given = await undici().request(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      dispatcher,
      signal: end.signal,
    });
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of given.body as AsyncIterable<Uint8Array>) {
      if (call.stream === true) timer.refresh();
      bytes += chunk.length;
      if (bytes > mostBytes) throw new NoAnswer(`the answer is longer than ${mostBytes / 2 ** 20} MiB`);
      chunks.push(chunk);
    }
    return { status: given.statusCode, headers: given.headers, body: Buffer.concat(chunks) };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof NoAnswer) throw error;
    throw end.signal.aborted ? late : transportFailure(error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

const inWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused: nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the host's name can't be looked up",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was reset",
  UND_ERR_SOCKET: "the connection was closed before the answer was whole",
  UND_ERR_CONNECT_TIMEOUT: "no connection within 30 s",
  ETIMEDOUT: "no connection in time",
  EHOSTUNREACH: "the host can't be reached",
  ENETUNREACH: "the network can't be reached",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the answer is shorter or longer than it says",
};

/** With these there was no connection: nothing can have been computed, or billed. */
const unheard: ReadonlySet<string> = new Set(
  "ECONNREFUSED ENOTFOUND EAI_AGAIN UND_ERR_CONNECT_TIMEOUT ETIMEDOUT EHOSTUNREACH ENETUNREACH".split(" "),
);

function transportFailure(error: unknown): NoAnswer {
  if (error instanceof Error && error.name === "HTTPParserError") return new NoAnswer("the server does not speak HTTP");
  const code = codeOf(error);
  if (code === undefined) return new NoAnswer("the call failed");
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return new NoAnswer(
      `the server's certificate is not trusted here (${code}); NODE_EXTRA_CA_CERTS adds one`,
      "final",
    );
  }
  if (code === "UND_ERR_INVALID_ARG") return new NoAnswer("the call can't be sent: a header is not valid", "final");
  if (code.includes("SSL") || code.includes("TLS")) return new NoAnswer(`no secure connection (${code})`);
  const words = inWords[code];
  const kind = unheard.has(code) ? "unheard" : "cut";
  return new NoAnswer(words === undefined ? `the call failed (${code})` : `${words} (${code})`, kind);
}

/** The system's or undici's code; where several addresses were tried, that of the first. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return codeOf(error.cause);
}
