import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { productFile } from "../../schema/testing/product.ts";

/** Two threads whatever the machine has: sums depend on how they are split. */
const environment = { ...process.env, OMP_NUM_THREADS: "2" };

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard output and standard error. */
  readonly text: string;
}

/** Starts a Node program as built; `hear` is told each of its lines as it comes. */
async function start(
  words: readonly string[],
  hear: (line: string, child: ChildProcess) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"], env: environment });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on("line", (line) => {
      text += `${line}\n`;
      hear(line, child);
    });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, text };
}

/** The command line, as built. */
export function amalgam(words: readonly string[], hear?: (line: string, child: ChildProcess) => void): Promise<Ended> {
  return start([productFile("cli/main.js"), ...words], hear);
}

/** A program that runs the whole of a recipe and writes a line for each thing that its listener is told. */
const program = () => `
  import { writeSync } from "node:fs";
  import { openRun, runStages, stageNames } from ${JSON.stringify(productFile("pipeline/index.js"))};
  const [folder, recipeFile, dieAt] = process.argv.slice(2);
  const say = (line) => {
    writeSync(1, line + "\\n");
    if (line === dieAt) process.kill(process.pid, "SIGKILL");
  };
  const listener = {
    stageStarted: (stage) => say("started " + stage),
    stageFinished: (stage, { skipped }) => say((skipped ? "skipped " : "finished ") + stage),
    progress: ({ stage, label, done }) => say("progress " + stage + " " + label + " " + done),
    notice: (line) => say("notice " + line),
  };
  const run = await openRun({ folder, recipeFile, listener, signal: new AbortController().signal, offline: true });
  try {
    await runStages(run, stageNames);
  } finally {
    await run.close();
  }
`;

/**
 * Runs a recipe in a process that tells every step, and kills itself when it has written the line `dieAt`. `scratch` is
 * a folder for the program.
 */
export function toldRun(
  scratch: string,
  words: readonly [folder: string, recipeFile: string, dieAt?: string],
  hear?: (line: string, child: ChildProcess) => void,
): Promise<Ended> {
  const file = join(scratch, "told-run.mjs");
  writeFileSync(file, program());
  return start([file, ...words.filter((word) => word !== undefined)], hear);
}
