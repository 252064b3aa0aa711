import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyFolder } from "../../models/testing/tiny-model.ts";
import type { RecipeInput } from "../../schema/index.ts";
import type { Activity, Listener, Progress } from "../events.ts";
import { openRun, type Run } from "../run.ts";

/** A folder with a recipe, its prompts and tiny random models: a whole run of it takes seconds. */
export interface TinyWorld {
  readonly folder: string;
  readonly recipeFile: string;
  readonly models: Readonly<Record<"llama" | "qwen2" | "gemma3", string>>;
  readonly recipe: RecipeInput;
  /** Writes a recipe with these parts changed; a part is replaced as a whole. */
  write(changes: Partial<RecipeInput>): void;
  remove(): void;
}

const subjects = ["rain", "bread", "a clock", "the sea", "an old map", "winter", "a bridge", "tea", "stars", "a dog"];

/** Random text satisfies each of these now and then, so that rewards differ. */
const checksOf = (index: number) => [
  { id: "punctuation:no_comma", args: {} },
  {
    id: "length_constraints:number_words",
    args: { relation: index % 2 === 0 ? "at least" : "less than", num_words: 7 },
  },
  {
    id: "keywords:letter_frequency",
    args: { letter: "aeiot"[index % 5], let_frequency: 1, let_relation: index % 3 === 0 ? "less than" : "at least" },
  },
];

/** Rows of prompts: the text names the set, so that no two sets share one. */
export const promptRows = (set: string, count: number): string =>
  Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      id: `${set}-${index}`,
      prompt: `Write about ${subjects[index % subjects.length]} (${set} ${index}).`,
      checks: checksOf(index),
    }),
  )
    .map((row) => `${row}\n`)
    .join("");

/** Twelve prompts to train on, six held out; a Llama, a Qwen2 and a Gemma 3 as sources, the Llama as the target. */
export function tinyWorld(changes: Partial<RecipeInput> = {}): TinyWorld {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-world-"));
  const models = { llama: tinyFolder("llama"), qwen2: tinyFolder("qwen2"), gemma3: tinyFolder("gemma3") };
  writeFileSync(join(folder, "prompts.jsonl"), promptRows("train", 12));
  writeFileSync(join(folder, "held-out.jsonl"), promptRows("held-out", 6));
  const training = { precision: "fp32", learning_rate: 1e-3, max_length: 160, max_prompt_length: 120 } as const;
  const recipe: RecipeInput = {
    name: "tiny",
    seed: 7,
    prompts: { file: "prompts.jsonl" },
    target: { model: models.llama, precision: "fp32" },
    sources: [
      { name: "llama", model: models.llama, precision: "fp32" },
      { name: "qwen", model: models.qwen2, precision: "fp32" },
      { name: "gemma", model: models.gemma3, precision: "fp32" },
    ],
    sampling: { n: 3, max_tokens: 24, temperature: 1, top_p: 1 },
    rewards: [{ kind: "checks" }],
    sft: { ...training, batch_size: 1, epochs: 2, checkpoint_every_steps: 2 },
    wrpo: { ...training, batch_size: 2, epochs: 2, beta: 0.1, checkpoint_every_steps: 2, micro_batch_tokens: 400 },
    evaluation: { prompts: { file: "held-out.jsonl" }, k: 2, bootstrap: 200 },
  };
  const recipeFile = join(folder, "world.yaml");
  // JSON is YAML.
  const write = (parts: Partial<RecipeInput>) => writeFileSync(recipeFile, JSON.stringify({ ...recipe, ...parts }));
  write(changes);
  return {
    folder,
    recipeFile,
    models,
    recipe: { ...recipe, ...changes },
    write,
    remove() {
      for (const path of [folder, ...Object.values(models)]) rmSync(path, { recursive: true, force: true });
    },
  };
}

/** What a listener was told. */
export interface Heard {
  readonly listener: Listener;
  readonly notices: string[];
  readonly progress: Progress[];
  /** Stages that ended, with whether they were skipped. */
  readonly finished: [Activity, boolean][];
}

/** A listener that remembers; `onProgress` hears each step as it comes. */
export function hearing(onProgress: (progress: Progress) => void = () => {}): Heard {
  const heard = { notices: [] as string[], progress: [] as Progress[], finished: [] as [Activity, boolean][] };
  return {
    ...heard,
    listener: {
      stageStarted() {},
      stageFinished: (stage, { skipped }) => void heard.finished.push([stage, skipped]),
      notice: (line) => void heard.notices.push(line),
      progress(progress) {
        heard.progress.push(progress);
        onProgress(progress);
      },
    },
  };
}

export interface WorkOptions {
  readonly folder: string;
  readonly recipeFile?: string;
  readonly overrides?: readonly string[];
  readonly heard?: Heard;
  readonly signal?: AbortSignal;
}

/** Opens a run, does something with it and closes it, whatever comes of it. */
export async function withRun<Result>(options: WorkOptions, work: (run: Run) => Promise<Result>): Promise<Result> {
  const { heard = hearing(), signal = new AbortController().signal, ...where } = options;
  const run = await openRun({ ...where, listener: heard.listener, signal, offline: true });
  try {
    return await work(run);
  } finally {
    await run.close();
  }
}

/** The lines of a JSONL file, parsed. */
export const jsonLines = (file: string): Record<string, unknown>[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** A new, empty place for a run of this world. */
export function runFolder({ folder }: TinyWorld, name: string): string {
  const path = join(folder, "runs", name);
  mkdirSync(path, { recursive: true });
  return path;
}
