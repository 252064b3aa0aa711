import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { AmalgamError, EnvironmentError } from "../../schema/index.ts";
import { formatBytes } from "./progress.ts";

/** The system's code of an error (`ENOENT`, `ECONNREFUSED`, ...), its own or that of the error that caused it. */
export function errorCode(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0];
    const code: unknown = (at as { code?: unknown }).code;
    if (typeof code === "string") return code;
    if (!(at instanceof Error)) return undefined;
  }
  return undefined;
}

/** Throws EnvironmentError when the file system that will hold `folder` has less than `bytes` free. */
export async function assertSpace(folder: string, bytes: number, what: string): Promise<void> {
  const free = await freeBytes(folder);
  if (free === undefined || free >= bytes) return;
  throw new EnvironmentError(`${what} needs ${formatBytes(bytes)}, and ${folder} has ${formatBytes(free)} free`, {
    hint: spaceHint,
  });
}

const unwritable = new Set(["EACCES", "EROFS", "EPERM", "ENOTDIR", "EEXIST"]);

/** Runs `work` and turns the system's errors about a full or read-only disk into ones that say what is needed. */
export async function withDiskErrors<T>(
  folder: string,
  bytes: number,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AmalgamError) throw error;
    const code = errorCode(error);
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new EnvironmentError(`the disk is full: ${what} needs ${formatBytes(bytes)} in ${folder}`, {
        hint: spaceHint,
        cause: error,
      });
    }
    if (code !== undefined && unwritable.has(code)) {
      throw new EnvironmentError(`${what} can't be written into ${folder} (${code})`, {
        hint: "Make the folder writable, or name another one (AMALGAM_CACHE for packages, HF_HOME for the hub).",
        cause: error,
      });
    }
    throw error;
  }
}

export const spaceHint =
  "Free some space, or name a folder on another disk (AMALGAM_CACHE for packages, HF_HOME for the hub). What was fetched is kept.";

async function freeBytes(folder: string): Promise<number | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if (errorCode(error) !== "ENOENT" || dirname(at) === at) return undefined;
    }
  }
}
