import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { EnvironmentError, expandHome } from "../../schema/index.ts";

/** Where the hub is, who asks, and where its cache lies: the environment variables of Hugging Face's own tools. */
export interface HubConfig {
  /** Without a slash at the end. */
  readonly endpoint: string;
  /** A secret: sent to the endpoint's origin only, and written nowhere. */
  readonly token: string | undefined;
  readonly cache: string;
  readonly offline: boolean;
  /** Pause before the first new try of a broken transfer; doubles with each try. */
  readonly retryDelayMs: number;
  /** A transfer that is silent for so long counts as broken. */
  readonly silenceMs: number;
  readonly environment: NodeJS.ProcessEnv;
}

const publicHub = "https://huggingface.co";

/**
 * Reads HF_ENDPOINT, HF_TOKEN (or the token file), HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE.
 * Throws EnvironmentError when one of them can't be used; the token never stands in the message.
 */
export async function hubConfig(environment: NodeJS.ProcessEnv, offline: boolean): Promise<HubConfig> {
  const home = environment.HF_HOME
    ? resolve(expandHome(environment.HF_HOME, environment))
    : join(environment.XDG_CACHE_HOME || join(environment.HOME || homedir(), ".cache"), "huggingface");
  const cache = environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE;
  return {
    endpoint: endpointOf(environment.HF_ENDPOINT),
    token: await tokenOf(environment, home),
    cache: cache ? resolve(expandHome(cache, environment)) : join(home, "hub"),
    offline: offline || isTrue(environment.HF_HUB_OFFLINE) || isTrue(environment.TRANSFORMERS_OFFLINE),
    retryDelayMs: 1000,
    silenceMs: 30_000,
    environment,
  };
}

function endpointOf(given: string | undefined): string {
  const text = (given || publicHub).trim().replace(/\/+$/, "");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const usable =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.password === "" &&
    url.search === "";
  if (!usable) {
    throw new EnvironmentError("HF_ENDPOINT is not the address of a hub", {
      hint: `It is an http or https address without user name, password and query, like ${publicHub}.`,
    });
  }
  return text;
}

async function tokenOf(environment: NodeJS.ProcessEnv, home: string): Promise<string | undefined> {
  const file = environment.HF_TOKEN_PATH ? expandHome(environment.HF_TOKEN_PATH, environment) : join(home, "token");
  const named = environment.HF_TOKEN || environment.HUGGING_FACE_HUB_TOKEN;
  const token = (named ?? (await readFile(file, "utf8").catch(() => ""))).trim();
  if (token === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new EnvironmentError(
      `the hub's token in ${named === undefined ? file : "HF_TOKEN"} holds characters that no token has`,
      {
        hint: "Set it to the token alone, without quotes, spaces or line breaks.",
      },
    );
  }
  return token;
}

const isTrue = (text: string | undefined): boolean => ["1", "ON", "YES", "TRUE"].includes((text ?? "").toUpperCase());
