import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { EnvironmentError } from "./errors.ts";
import { makeFolder } from "./folder.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder where Amalgam keeps what it fetched or built: `AMALGAM_CACHE`, else `XDG_CACHE_HOME/amalgam`, else
 * `~/.cache/amalgam`. The folder may not exist yet. A relative XDG_CACHE_HOME counts as unset, as the XDG base
 * directory specification asks.
 */
export function cacheFolder(environment: Environment = process.env): string {
  const own = environment.AMALGAM_CACHE;
  if (own) return resolve(expandHome(own, environment));
  const shared = environment.XDG_CACHE_HOME;
  if (shared && isAbsolute(shared)) return join(shared, "amalgam");
  return join(environment.HOME || homedir(), ".cache", "amalgam");
}

/** A path with a leading `~` replaced by the home folder. */
export function expandHome(path: string, environment: Environment = process.env): string {
  if (path !== "~" && !path.startsWith("~/")) return path;
  return join(environment.HOME || homedir(), path.slice(1));
}

/** Makes a folder of the cache. @throws EnvironmentError when it can't be written. */
export function makeCacheFolder(folder: string): void {
  try {
    makeFolder(folder);
  } catch (error) {
    throw new EnvironmentError(`the cache folder can't be written: ${(error as Error).message}`, {
      hint: "AMALGAM_CACHE names another folder.",
      cause: error,
    });
  }
}
