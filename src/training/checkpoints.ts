import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { loadStateDict, type Optimiser, openSafetensors, writeSafetensorsFile } from "../nn/index.ts";
import { LedgerError } from "../schema/index.ts";
import type { Tensor } from "../torch/index.ts";
import { scope } from "../torch/index.ts";

const stateSchema = z.strictObject({
  /** Optimiser steps done. */
  step: z.int().min(0),
  /** Digest of all that decides the training: a checkpoint of another training is not continued. */
  inputs: z.string(),
});

const stepFolder = (step: number) => `step-${String(step).padStart(8, "0")}`;

/** Writes weights and optimiser state after `step` steps; the folder appears whole or not at all, earlier ones go then. */
export function saveCheckpoint(
  folder: string,
  step: number,
  inputs: string,
  weights: ReadonlyMap<string, Tensor>,
  optimiser: Optimiser,
): void {
  const target = join(folder, stepFolder(step));
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  writeSafetensorsFile(join(partial, "weights.safetensors"), weights);
  writeSafetensorsFile(join(partial, "optimiser.safetensors"), optimiser.state());
  writeFileSync(join(partial, "state.json"), JSON.stringify({ step, inputs }));
  rmSync(target, { recursive: true, force: true });
  renameSync(partial, target);
  for (const name of readdirSync(folder))
    if (name.startsWith("step-") && name !== stepFolder(step))
      rmSync(join(folder, name), { recursive: true, force: true });
}

function readState(file: string): z.infer<typeof stateSchema> {
  try {
    return stateSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    throw new LedgerError("is no checkpoint state", {
      file,
      hint: "Remove the checkpoint's folder to start this training again.",
      cause,
    });
  }
}

/** Loads the latest checkpoint of this training into weights and optimiser; returns its step, 0 where there is none. */
export function loadCheckpoint(
  folder: string,
  inputs: string,
  weights: ReadonlyMap<string, Tensor>,
  optimiser: Optimiser,
): number {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
    .reverse();
  for (const name of names) {
    const state = readState(join(folder, name, "state.json"));
    if (state.inputs !== inputs) continue;
    const file = join(folder, name, "weights.safetensors");
    scope(() => {
      loadStateDict(weights, openSafetensors(file).tensors, file);
      optimiser.load(openSafetensors(join(folder, name, "optimiser.safetensors")).tensors);
    });
    return state.step;
  }
  return 0;
}
