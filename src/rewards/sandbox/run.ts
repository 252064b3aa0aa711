import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { environment, filterFile, type Limits, launchArguments, type Tools } from "./launch.ts";
import { endAll, holdsMoreThan } from "./processes.ts";

/** A program to be run: what of it is the same for many stands in `Rules`. */
export interface Program {
  readonly command: readonly string[];
  /** Folders that it reads beside the system's. */
  readonly folders: readonly string[];
  /** What it reads at file 3. */
  readonly job: string;
  /** What it reads at standard input; nothing where this is not given. */
  readonly input?: string | undefined;
}

export interface Rules {
  readonly tools: Tools;
  readonly filter: Uint8Array;
  readonly limits: Limits;
}

/** How a program ended: by itself, by a signal, or as it crossed a limit. */
export interface Ending {
  readonly kind: "exit" | "signal" | "time" | "memory" | "output";
  /** Of an exit. */
  readonly code: number;
  readonly output: string;
  /** The end of standard error. */
  readonly errors: string;
  /** What it said at file 4. */
  readonly said: string;
}

const shownErrors = 4096;
const mostSaid = 4096;
const watchEveryMs = 25;
/** SIGXCPU: the limit of processor time. */
const outOfTime = 128 + 24;
/** The sandbox's own tools give the shell's codes: 128 and the signal. */
const bySignal = 128;

/** Runs a program in a sandbox of its own, to its end. All of its processes have ended when this resolves. Rejects where the sandbox can't be started. */
export function runProgram(program: Program, rules: Rules, serial: number, signal: AbortSignal): Promise<Ending> {
  const { tools, filter, limits } = rules;
  // A pipe, not a socket: programs open it anew by its name.
  const command =
    program.input === undefined ? program.command : ["/bin/sh", "-c", 'cat | "$@"', "sh", ...program.command];
  return new Promise((resolve, reject) => {
    const child = spawn(tools.bwrap, launchArguments(tools, program.folders, limits, serial, command), {
      env: environment,
      // Ctrl-C at a terminal is not for it.
      detached: true,
      stdio: [program.input === undefined ? "ignore" : "pipe", "pipe", "pipe", "pipe", "pipe", "pipe"],
    });
    let crossed: Ending["kind"] | undefined;
    const end = (why?: Ending["kind"]): void => {
      crossed ??= why;
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) endAll(child.pid);
    };
    const output = collected(child.stdout as Readable, limits.outputBytes, () => end("output"));
    const errors = tail(child.stderr as Readable, limits.outputBytes, () => end("output"));
    const said = collected(child.stdio[4] as Readable, mostSaid, () => end("output"));
    feed(child.stdin, program.input ?? "");
    feed(child.stdio[3] as Writable | null, program.job);
    feed((child.stdio as readonly unknown[])[filterFile] as Writable | null, filter);

    const clock = setTimeout(() => end("time"), 3000 * limits.seconds);
    const watch = setInterval(() => {
      if (child.pid !== undefined && holdsMoreThan(child.pid, limits.memoryBytes)) end("memory");
    }, watchEveryMs);
    const abort = (): void => end();
    signal.addEventListener("abort", abort, { once: true });
    const leave = (): void => {
      clearTimeout(clock);
      clearInterval(watch);
      signal.removeEventListener("abort", abort);
    };
    child.once("error", (error) => {
      leave();
      reject(error);
    });
    child.once("close", (code, by) => {
      leave();
      if (signal.aborted) return reject(signal.reason);
      const exit = code ?? bySignal;
      const kind = crossed ?? (exit === outOfTime ? "time" : by !== null || exit >= bySignal ? "signal" : "exit");
      resolve({ kind, code: exit, output: output(), errors: errors(), said: said() });
    });
    if (signal.aborted) end();
  });
}

/** Writes it all; who does not read it is not waited for. */
function feed(stream: Writable | null, data: string | Uint8Array): void {
  stream?.on("error", () => {});
  stream?.end(data);
}

function collected(stream: Readable, most: number, over: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= most) chunks.push(chunk);
    else over();
  });
  return () => Buffer.concat(chunks).toString();
}

function tail(stream: Readable, most: number, over: () => void): () => string {
  let last = Buffer.alloc(0);
  let bytes = 0;
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > most) over();
    last = Buffer.concat([last, chunk]).subarray(-shownErrors);
  });
  return () => last.toString();
}
