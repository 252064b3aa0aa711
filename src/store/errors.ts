import { dirname } from "node:path";
import { LedgerError } from "../schema/index.ts";

/** SQLite's name for a disk that has no room for the file by which processes share a ledger. */
const noRoomToShare = "SQLITE_IOERR_SHMSIZE";

const full = [
  "the disk is full: the last batch was not stored, everything before it is kept",
  "Free some space on this disk and run the same command again; it goes on where it stopped.",
] as const;

/** What the person is told for each result code of SQLite that is about their disk or file, not about our queries. */
const explanations: ReadonlyArray<readonly [code: string, message: string, hint: string]> = [
  ["SQLITE_FULL", ...full],
  // A process that opens the file first makes a small one beside it, for sharing.
  [noRoomToShare, ...full],
  [
    "SQLITE_NOTADB",
    "this file is not a ledger of Amalgam, or its beginning is overwritten",
    "Name another run folder, or move this file away if it came here by mistake.",
  ],
  ["SQLITE_CORRUPT", "the ledger is damaged", ""],
  [
    "SQLITE_READONLY",
    "the ledger can't be written",
    "Check who owns the run folder and its files, and whether the disk is mounted read-only.",
  ],
  [
    "SQLITE_CANTOPEN",
    "the ledger can't be opened",
    "Check that the run folder exists, that you may read and write it, and that the disk is not full or read-only.",
  ],
  ["SQLITE_PERM", "the system refuses access to the ledger", "Check who owns the run folder and its files."],
  [
    "SQLITE_BUSY",
    "another program holds the ledger locked",
    "Close the program that has run.db open for writing and run the same command again.",
  ],
  [
    "SQLITE_IOERR",
    "the disk failed while the ledger was read or written: the last batch was not stored",
    "Check the disk (free space, quota, file-size limit, errors in the system's log), then run the same command again.",
  ],
  [
    "SQLITE_TOOBIG",
    "a text is longer than a ledger can hold (1 GB)",
    "Lower max_tokens, or drop the source that gives such texts.",
  ],
];

const recoverHint = (folder: string): string =>
  `\`amalgam recover ${folder}\` saves what can be read, and keeps the damaged file.`;

/** The error for a ledger in which this was found. */
export const damaged = (faults: readonly string[], folder: string): LedgerError =>
  new LedgerError(`the ledger is damaged: ${faults.join("; ")}`, { file: folder, hint: recoverHint(folder) });

/** SQLite's name for the result, from the driver's error, or undefined when the error is not SQLite's. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && code.startsWith("SQLITE_")) return code;
  // libsql reports a failed open as plain text that ends with the result code's number.
  if (/ConnectionFailed\(.*: \d+"\)$/s.test(error.message)) return "SQLITE_CANTOPEN";
  return undefined;
}

/** Whether an error of the ledger says that. */
export const lacksRoomToShare = (error: unknown): boolean =>
  error instanceof LedgerError && sqliteCode(error.cause) === noRoomToShare;

/** The driver's error as the person should see it; a mistake in our own queries stays what it is. */
export function explainSqlite(error: unknown, file: string): unknown {
  const code = sqliteCode(error);
  const known = code === undefined ? undefined : explanations.find(([prefix]) => code.startsWith(prefix));
  if (known === undefined) return error;
  const [prefix, message, hint] = known;
  const mayBeDamaged = prefix === "SQLITE_CORRUPT" || prefix === "SQLITE_NOTADB";
  const hints = [...(hint === "" ? [] : [hint]), ...(mayBeDamaged ? [recoverHint(dirname(file))] : [])];
  return new LedgerError(message, { file, hint: hints.join(" "), cause: error });
}
