import { closeSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { EnvironmentError } from "../schema/index.ts";

const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

function diskFull(file: string, bytes: number, cause?: unknown): EnvironmentError {
  return new EnvironmentError(`the disk is full: ${bytes} bytes are needed, ${freeBytes(dirname(file))} are free`, {
    file,
    hint: "Free some space and start again; what was there before is still there.",
    cause,
  });
}

/** Makes a rename in `folder` last over a power failure. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

const outOfSpace = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Writes `bytes` bytes to a file beside `file`, down to the disk; the returned function puts it in place. */
export function writeBeside(file: string, bytes: number, parts: () => Iterable<Uint8Array>): () => void {
  const partial = `${file}.${process.pid}.partial`;
  try {
    if (freeBytes(dirname(file)) < bytes) throw diskFull(file, bytes);
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
    if (outOfSpace.has(code ?? "")) throw diskFull(file, bytes, error);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new EnvironmentError(`can't be written: ${message}`, { file, cause: error });
  }
  return () => {
    renameSync(partial, file);
    syncFolder(dirname(file));
  };
}
