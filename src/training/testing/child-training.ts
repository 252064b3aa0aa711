import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ObjectiveRecipe } from "../../objectives/index.ts";
import { recipeSchema } from "../../schema/index.ts";
import { productFile } from "../../schema/testing/product.ts";
import type { ReferenceSync } from "../moving-reference.ts";
import type { PreferenceRow } from "../response-table.ts";
import type { ResolvedOptimisation } from "../train.ts";

const built = (room: string) => productFile(`${room}/index.js`);

/** Trains as a library's user would, tells each step, and writes what was trained in the end. */
const program = () => `
  import { readFileSync, writeSync } from "node:fs";
  import { createAdapters, openModel } from ${JSON.stringify(built("models"))};
  import { adapterTensors, writeSafetensorsFile } from ${JSON.stringify(built("nn"))};
  import { objectiveOf } from ${JSON.stringify(built("objectives"))};
  import { describeError } from ${JSON.stringify(built("schema"))};
  import { movingReference, packSequences, preferenceTask, sftTask, train } from ${JSON.stringify(built("training"))};
  const { model, rows, heldOut, objective, sync, recipe, folder } = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const opened = await openModel({ model, precision: "fp32", device: "cpu" }, { baseFolder: "/", offline: true });
  const { lora } = recipe;
  const adapters = lora === undefined ? undefined : createAdapters(opened.decoder, lora.target_modules, lora, 5);
  const decoder = { ...opened.decoder, ...(lora === undefined ? {} : { adapters }) };
  const reference = sync === undefined ? undefined : movingReference(decoder, sync);
  const packed = (some) => packSequences(some, 64);
  const task =
    objective === undefined
      ? { ...sftTask(packed(rows)), heldOut: packed(heldOut ?? []) }
      : { ...preferenceTask(rows, objectiveOf(objective, 1), { reference }), heldOut };
  const say = (line) => writeSync(1, line + "\\n");
  try {
    const { steps } = await train(decoder, task, {
      recipe,
      seed: 3,
      dtype: "float32",
      inputs: "tiny",
      checkpoints: folder + "/checkpoints",
      metrics: folder + "/metrics.jsonl",
      onStep: ({ step }) => say("step " + step),
      onNotice: (line) => say("notice " + line),
    });
    writeSafetensorsFile(folder + "/final.safetensors", lora === undefined ? decoder.parameters : adapterTensors(adapters));
    say("finished after " + steps);
  } catch (error) {
    say("error " + describeError(error).replaceAll("\\n", " "));
    process.exitCode = 1;
  }
`;

/** The objective of most of these trainings. */
export const childWrpo = recipeSchema.shape.wrpo.parse({ beta: 0.1, alpha: 0.3, alpha_schedule: "linear" });

export interface ChildTraining {
  /** The model's folder. */
  readonly model: string;
  readonly rows: readonly PreferenceRow[];
  readonly heldOut?: readonly PreferenceRow[];
  /** Supervised tuning without. */
  readonly objective?: ObjectiveRecipe;
  /** A reference that moves. */
  readonly sync?: ReferenceSync;
  readonly recipe: ResolvedOptimisation;
  /** Where `checkpoints`, `metrics.jsonl` and in the end `final.safetensors` go. */
  readonly folder: string;
}

export interface ChildOptions {
  readonly threads?: number;
  /** A shell command that sets a limit first, as `ulimit -f 100`. */
  readonly limit?: string;
  readonly hear?: (line: string, child: ChildProcess) => void;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
}

/**
 * Trains until the process has told some lines more, `most` of them at the most, and kills it some milliseconds later: what it
 * told until then.
 */
export async function trainUntilKilled(
  scratch: string,
  training: ChildTraining,
  most: number,
  options: ChildOptions = {},
): Promise<Ended> {
  const after = 1 + Math.floor(Math.random() * most);
  const delay = Math.random() * 20;
  let heard = 0;
  return trainInChild(scratch, training, {
    ...options,
    hear(_, child) {
      heard += 1;
      if (heard === after) setTimeout(() => child.kill("SIGKILL"), delay);
    },
  });
}

/** Trains in a process of its own, by the product as built; `hear` is told each of its lines as it comes. */
export async function trainInChild(
  scratch: string,
  training: ChildTraining,
  { threads = 2, limit, hear = () => {} }: ChildOptions = {},
): Promise<Ended> {
  const [script, question] = [join(scratch, "training.mjs"), join(scratch, "training.json")];
  writeFileSync(script, program());
  writeFileSync(question, JSON.stringify(training));
  const words = [process.execPath, script, question];
  const environment = { ...process.env, OMP_NUM_THREADS: String(threads) };
  const [command, ...rest] = limit === undefined ? words : ["sh", "-c", `${limit}; exec "$@"`, "sh", ...words];
  const child = spawn(command!, rest, { stdio: ["ignore", "pipe", "inherit"], env: environment });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    hear(line, child);
  });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, lines };
}
