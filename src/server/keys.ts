import { createHash, timingSafeEqual } from "node:crypto";
import { EnvironmentError } from "../schema/index.ts";
import { ApiError } from "./api-error.ts";

/** The keys that open the server, kept as digests only. */
export interface Keys {
  readonly count: number;
  /**
   * The name of the key in an `Authorization` header; undefined where the server has no keys.
   * @throws ApiError 401 where the header holds none of the keys
   */
  nameOf(authorization: string | undefined): string | undefined;
}

const shortest = 16;

/**
 * Reads keys from environment variables. Every key is compared with what a client sends, in constant time.
 * @throws EnvironmentError for a variable that is not set, or holds less than 16 characters
 */
export function keysFrom(
  variables: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Keys {
  const digest = (key: string) => createHash("sha256").update(key).digest();
  const keys = variables.map((name) => {
    const key = environment[name]?.trim() ?? "";
    if (key === "") throw new EnvironmentError(`the environment variable ${name} of --key-env is not set`);
    if (key.length < shortest)
      throw new EnvironmentError(`the key in ${name} has fewer than ${shortest} characters`, {
        hint: "Take a random one, for example of `openssl rand -hex 32`.",
      });
    return { name, digest: digest(key) };
  });
  return {
    count: keys.length,
    nameOf(authorization) {
      if (keys.length === 0) return undefined;
      const sent = digest(/^Bearer +(.+)$/i.exec(authorization ?? "")?.[1]?.trim() ?? "");
      let found: string | undefined;
      for (const key of keys) if (timingSafeEqual(key.digest, sent)) found = key.name;
      if (found !== undefined) return found;
      throw new ApiError(401, "this server wants a key, sent with `authorization: Bearer KEY`", {
        code: "invalid_api_key",
      });
    },
  };
}
