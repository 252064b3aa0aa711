import { AmalgamError, EnvironmentError } from "../schema/index.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "your share of the disk is used up",
  EROFS: "the disk is read-only",
  EACCES: "this may not be written",
  EPERM: "this may not be written",
};

/** What the file system refused while a run folder was being written, as an error for the person; any other error as it is. */
export function explainDisk(error: unknown, folder: string): unknown {
  if (error instanceof AmalgamError || !(error instanceof Error)) return error;
  const { code = "", path } = error as NodeJS.ErrnoException;
  const reason = reasons[code];
  if (reason === undefined) return error;
  return new EnvironmentError(reason, {
    file: path ?? folder,
    cause: error,
    hint: "What was done until then is kept: make room (or allow writing), then the same command goes on.",
  });
}
