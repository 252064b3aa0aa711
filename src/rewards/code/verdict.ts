import { randomBytes } from "node:crypto";
import type { Ending } from "../sandbox/index.ts";
import type { CodeTest } from "./tests.ts";

/** What became of a test. `killed`: a signal ended it, none of the limits. */
export type Verdict = "passed" | "wrong" | "exception" | "timeout" | "memory" | "output" | "killed";

export interface Asked {
  readonly job: string;
  readonly input?: string;
  readonly verdict: (ending: Ending) => Verdict;
}

/**
 * One test as a program of the language's driver. A test that is code has passed only where the driver says a word that nobody can guess, after
 * the last of the test: a response that ends the program early has not passed.
 */
export function asked(test: CodeTest, before: string, code: string): Asked {
  const main = typeof test !== "string";
  const first = JSON.stringify({ before, code, main });
  const job = String(Buffer.byteLength(first)).padStart(10, "0") + first;
  if (main) return { job, input: test.stdin, verdict: (ending) => verdictOfOutput(ending, test.stdout) };
  const mark = randomBytes(16).toString("hex");
  return { job: job + JSON.stringify({ test, mark }), verdict: (ending) => verdictOfMark(ending, mark) };
}

function verdictOfMark(ending: Ending, mark: string): Verdict {
  const words = ending.said.split("\n");
  if (words.includes(mark)) return "passed";
  const failure = failureOf(ending);
  if (failure !== undefined) return failure;
  return words.includes("wrong") ? "wrong" : "exception";
}

function verdictOfOutput(ending: Ending, expected: string): Verdict {
  const failure = failureOf(ending);
  if (failure !== undefined) return failure;
  if (ending.code !== 0) return "exception";
  return trimmed(ending.output) === trimmed(expected) ? "passed" : "wrong";
}

/** As the interpreters, and the C++ library, say that there is no more memory. */
const noMemory = /^MemoryError|heap out of memory|std::bad_alloc|allocation failed/im;

function failureOf({ kind, errors, said, code }: Ending): Verdict | undefined {
  if (kind === "time") return "timeout";
  if (kind === "memory" || kind === "output") return kind;
  if (said.split("\n").includes("memory") || (code !== 0 && noMemory.test(errors))) return "memory";
  return kind === "signal" ? "killed" : undefined;
}

/** White space at the ends of lines and of the whole tells nothing. */
const trimmed = (text: string): string => text.replace(/[ \t\r]+$/gm, "").trim();
