#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { AmalgamError, describeError, explainMemory, packageFile } from "../schema/index.ts";
import { parseArguments } from "./arguments.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { stopOnSignals } from "./signals.ts";
import { UsageError } from "./usage-error.ts";

/** Runs a command line and gives its exit code: 0 done, 1 an error for the user, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM. */
async function main(words: readonly string[]): Promise<number> {
  const complain = (text: string) => void process.stderr.write(`${text}\n`);
  try {
    const parsed = parseArguments(words);
    if (parsed.kind === "version") return say(version());
    if (parsed.kind === "help") return say(parsed.command === undefined ? generalHelp() : commandHelp(parsed.command));
    return await start(parsed.arguments, complain);
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`amalgam: ${error.message}${error.hint === undefined ? "" : `\n  ${error.hint}`}`);
      return 2;
    }
    complain(complaint(error));
    return 1;
  }
}

async function start(
  given: Parameters<typeof import("./execute.ts").execute>[0],
  complain: (text: string) => void,
): Promise<number> {
  // Loaded only now: help and usage errors need none of it.
  const { execute, surroundings } = await import("./execute.ts");
  const stopper = stopOnSignals(() => {
    around.printer.clear();
    complain(
      `${given.command === "serve" ? "ending what is under way" : "stopping at the next safe point"}; Ctrl-C once more ends at once ...`,
    );
  });
  const around = surroundings(stopper.signal);
  try {
    const code = await execute(given, around);
    // A server is ended by a signal, and has then done all that it was to do.
    return given.command === "serve" ? code : (stopper.exitCode() ?? code);
  } catch (error) {
    const stopped = stopper.exitCode();
    if (stopped === undefined) throw error;
    if (error instanceof AmalgamError) complain(`amalgam: ${describeError(error)}`);
    complain("stopped; nothing is lost, and the same command goes on from here");
    return stopped;
  } finally {
    around.printer.clear();
    stopper.release();
  }
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function version(): string {
  return (JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as { version: string }).version;
}

/** Anything but an AmalgamError is a mistake of the program: its stack trace belongs into a report of it. */
function complaint(error: unknown): string {
  const told = explainMemory(error);
  if (told instanceof AmalgamError) return `amalgam: ${describeError(told)}`;
  return `amalgam: this is a defect of Amalgam, please report it:\n${describeError(told)}`;
}

// Where the address space is limited, V8 and Node throw outside of any call of ours.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${complaint(error)}\n`);
  process.exit(1);
});

// A reader that has seen enough (`amalgam status | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.exitCode = await main(process.argv.slice(2));
