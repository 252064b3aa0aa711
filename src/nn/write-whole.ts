import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { EnvironmentError } from "../schema/index.ts";

const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

/** Why there is no room, and what helps, by the system's name for it. */
const refusals = {
  ENOSPC: ["the disk is full", "Free some space"],
  EDQUOT: ["your share of the disk is used up", "Free some of your space, or have the quota raised"],
  EFBIG: ["files may not become so large here", "Lift the limit (`ulimit -f unlimited`)"],
} as const;

const isRefusal = (code: string | undefined): code is keyof typeof refusals =>
  code !== undefined && Object.hasOwn(refusals, code);

function noRoom(code: keyof typeof refusals, file: string, folder: string, bytes: number, cause?: unknown): Error {
  const [reason, cure] = refusals[code];
  return new EnvironmentError(`${reason}: ${bytes} bytes are needed, ${freeBytes(folder)} are free`, {
    file,
    hint: `${cure} and start again; what was there before is still there.`,
    cause,
  });
}

/** @throws EnvironmentError where the disk on which `folder` lies or will lie has no room for so many bytes more. */
export function requireRoom(folder: string, bytes: number): void {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  if (freeBytes(at) < bytes) throw noRoom("ENOSPC", folder, at, bytes);
}

/** Makes a rename in `folder` last over a power failure. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Writes `bytes` bytes to a file beside `file`, down to the disk; the returned function puts it in place. */
export function writeBeside(file: string, bytes: number, parts: () => Iterable<Uint8Array>): () => void {
  const partial = `${file}.${process.pid}.partial`;
  try {
    if (freeBytes(dirname(file)) < bytes) throw noRoom("ENOSPC", file, dirname(file), bytes);
    const descriptor = openSync(partial, "w");
    try {
      for (const part of parts())
        for (let at = 0; at < part.length; ) at += writeSync(descriptor, part, at, part.length - at);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    rmSync(partial, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    if (isRefusal(code)) throw noRoom(code, file, dirname(file), bytes, error);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new EnvironmentError(`can't be written: ${message}`, { file, cause: error });
  }
  return () => {
    renameSync(partial, file);
    syncFolder(dirname(file));
  };
}
