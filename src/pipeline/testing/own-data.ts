import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyFolder } from "../../models/testing/tiny-model.ts";
import { type DataTrainingOptions, trainOnData } from "../data-training/index.ts";
import { type Heard, hearing, jsonLines } from "./tiny-world.ts";

export const pair = (index: number) => ({
  prompt: `Name thing ${index}.`,
  chosen: `A fine thing, number ${index}, and then ${"more ".repeat(index % 4)}words.`,
  rejected: `No ${index * 7}`,
});
export const pairs = (count: number) => Array.from({ length: count }, (_, index) => pair(index));

/** Settings for them and the tiny model. */
export const tinySettings = [
  ...["precision=fp32", "learning_rate=1e-3", "batch_size=3"],
  ...["max_length=200", "max_prompt_length=150"],
];

const ofTheMachine = new Set([
  ...["seconds", "tokens_per_second", "seconds_left", "gemm_share"],
  ...["peak_memory_bytes", "memory_bytes"],
]);

/** Names and figures of steps, without those of the clock and the memory. */
export const figures = (lines: readonly Record<string, unknown>[]) =>
  lines.map((line) => Object.fromEntries(Object.entries(line).filter(([name]) => !ofTheMachine.has(name))));

export const weightsDigest = (path: string) =>
  createHash("sha256")
    .update(readFileSync(join(path, "model.safetensors")))
    .digest("hex");

/** A folder for trainings of a tiny model on files that are written there. */
export function ownData() {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-own-data-"));
  const model = tinyFolder("llama");
  let files = 0;
  return {
    folder,
    model,
    /** A file of these rows, or of lines as they are. */
    jsonl(rows: readonly unknown[]): string {
      const file = join(folder, `data-${files++}.jsonl`);
      writeFileSync(file, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
      return file;
    },
    own(
      name: string,
      options: Partial<DataTrainingOptions> & { readonly data: readonly string[] },
      heard: Heard = hearing(),
    ) {
      const { settings: more = [], ...others } = options;
      return trainOnData({
        model,
        objective: "dpo",
        output: join(folder, name),
        signal: new AbortController().signal,
        listener: heard.listener,
        offline: true,
        ...others,
        settings: [...tinySettings, ...more],
      });
    },
    metricsOf: (name: string) => jsonLines(join(folder, name, "metrics", "train.jsonl")) as Record<string, number>[],
    remove() {
      for (const path of [folder, model]) rmSync(path, { recursive: true });
    },
  };
}
