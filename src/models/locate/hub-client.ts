import { setTimeout as sleep } from "node:timers/promises";
import type { Headers, Response } from "undici";
import { EnvironmentError, whenUsed } from "../../schema/index.ts";
import { errorCode } from "./disk.ts";
import type { HubConfig } from "./hub-config.ts";

const undici = whenUsed<typeof import("undici")>("undici");

/** The hub gave no answer at all: no network, no such host, refused, silent. */
export class HubUnreachable extends EnvironmentError {}

/** An answer of the hub that is no success: its status and its X-Error-Code. */
export class HubRefusal extends Error {
  readonly status: number;
  readonly errorCode: string | null;

  constructor(status: number, errorCode: string | null) {
    super(`HTTP ${status}`);
    this.status = status;
    this.errorCode = errorCode;
  }
}

export interface HubAnswer {
  readonly response: Response;
  /** Headers of the hub's own answer, where the file itself came from another host by redirect. */
  readonly hubHeaders: Headers;
}

export interface HubClient {
  /** Follows redirects; the token goes to the endpoint's origin and to no other. Throws HubUnreachable. */
  readonly get: (url: string, headers?: Readonly<Record<string, string>>) => Promise<HubAnswer>;
  /** `get` in the shape that the functions of `@huggingface/hub` take. Throws HubRefusal for an answer that is no success. */
  readonly fetch: typeof globalThis.fetch;
  readonly close: () => Promise<void>;
}

const mostRedirects = 10;
const mostTries = 3;

/** A client for one hub, through the proxy that the environment names, if any. */
export function hubClient(config: HubConfig): HubClient {
  const { environment } = config;
  const dispatcher = new (undici().EnvHttpProxyAgent)({
    httpProxy: environment.http_proxy ?? environment.HTTP_PROXY ?? "",
    httpsProxy: environment.https_proxy ?? environment.HTTPS_PROXY ?? "",
    noProxy: environment.no_proxy ?? environment.NO_PROXY ?? "",
    headersTimeout: config.silenceMs,
    bodyTimeout: config.silenceMs,
    connectTimeout: Math.min(config.silenceMs, 10_000),
  });
  const hubOrigin = new URL(config.endpoint).origin;

  const get = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<HubAnswer> => {
    let at = new URL(url);
    let hubHeaders: Headers | undefined;
    for (let hop = 0; hop <= mostRedirects; hop++) {
      const own = at.origin === hubOrigin;
      const authorization = own && config.token !== undefined ? { authorization: `Bearer ${config.token}` } : {};
      let response: Response;
      try {
        response = await undici().fetch(at, {
          headers: { "user-agent": "amalgam", ...headers, ...authorization },
          redirect: "manual",
          dispatcher,
        });
      } catch (error) {
        throw unreachable(at, error);
      }
      if (own) hubHeaders = response.headers;
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || response.status === 304 || location === null) {
        return { response, hubHeaders: hubHeaders ?? response.headers };
      }
      await response.body?.cancel();
      at = new URL(location, at);
    }
    throw new EnvironmentError(`${new URL(url).host} redirects without end`, { hint: "Check HF_ENDPOINT." });
  };

  return {
    get,
    fetch: async (input, init) => {
      const url = input instanceof Request ? input.url : String(input);
      const headers = Object.fromEntries(new globalThis.Headers(init?.headers));
      for (let tries = 1; ; tries++) {
        const { response } = await get(url, headers);
        const text = await response.text().catch((error: unknown) => {
          throw unreachable(new URL(url), error);
        });
        if ((response.status === 429 || response.status >= 500) && tries < mostTries) {
          await sleep(config.retryDelayMs * 2 ** (tries - 1));
          continue;
        }
        if (!response.ok) throw new HubRefusal(response.status, response.headers.get("x-error-code"));
        return new globalThis.Response(text, {
          status: response.status,
          headers: [...response.headers].filter(([name]) => !/^content-(encoding|length)$/.test(name)),
        });
      }
    },
    close: () => dispatcher.destroy(),
  };
}

function unreachable(url: URL, error: unknown): HubUnreachable {
  const code = errorCode(error);
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code ?? "");
  return new HubUnreachable(`the hub at ${url.host} can't be reached (${code ?? "no answer"})`, {
    hint: certificate
      ? "Its certificate is not trusted here: name your authority's file in NODE_EXTRA_CA_CERTS."
      : "Check the network, HTTPS_PROXY and HF_ENDPOINT. A model that is in the cache whole is used without the hub (HF_HUB_OFFLINE=1).",
  });
}
