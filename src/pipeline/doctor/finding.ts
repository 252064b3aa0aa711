import { AmalgamError } from "../../schema/index.ts";

/** One thing that was looked at, and how it stands. */
export interface Finding {
  readonly what: string;
  /** A `problem` keeps a run from working; a `warning` makes it slower, or may turn into a problem. */
  readonly outcome: "ok" | "warning" | "problem";
  readonly detail: string;
  /** What to do about it. */
  readonly hint?: string;
}

export const ok = (what: string, detail: string): Finding => ({ what, outcome: "ok", detail });
export const warning = (what: string, detail: string, hint?: string): Finding => ({
  what,
  outcome: "warning",
  detail,
  ...(hint === undefined ? {} : { hint }),
});
export const problem = (what: string, detail: string, hint?: string): Finding => ({
  what,
  outcome: "problem",
  detail,
  ...(hint === undefined ? {} : { hint }),
});

/** The finding that an error for people stands for. Any other error is thrown on. */
export function findingOf(what: string, error: unknown): Finding {
  if (!(error instanceof AmalgamError)) throw error;
  const { file, line, field } = error.place;
  const place = [line === undefined ? file : `${file}:${line}`, field].filter((part) => part !== undefined).join(", ");
  return problem(what, place === "" ? error.message : `${place}: ${error.message}`, error.hint);
}
