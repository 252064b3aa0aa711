import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import {
  loadStateDict,
  type Optimiser,
  openSafetensors,
  requireRoom,
  syncFolder,
  writeBeside,
  writeSafetensorsFile,
} from "../nn/index.ts";
import { AmalgamError, LedgerError } from "../schema/index.ts";
import { byteSize, noGrad, scope, type Tensor } from "../torch/index.ts";
import type { StepMetrics } from "./metrics.ts";

const stateSchema = z.strictObject({
  /** Optimiser steps done, those that were skipped included. */
  step: z.int().min(0),
  /** Digest of all that decides the training: a checkpoint of another training is not continued. */
  inputs: z.string(),
  /** Steps that changed nothing, because their loss or gradient was not finite. */
  skipped: z.int().min(0).default(0),
  /** What evaluations gave until then; null is a figure that is not finite. */
  evaluations: z.array(z.record(z.string(), z.number().nullable())).default([]),
});

/** How far a training is. */
export interface TrainingState {
  readonly step: number;
  readonly skipped: number;
  readonly evaluations: readonly StepMetrics[];
}

/** What a checkpoint holds, and where. */
export interface Checkpointed {
  readonly folder: string;
  readonly inputs: string;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly optimiser: Optimiser;
}

const stepFolder = (step: number) => `step-${String(step).padStart(8, "0")}`;
const stateFile = "state.json";
/** Room for a state, for the headers of the files, and for the blocks of the file system. */
const besides = 1 << 20;

/** Throws an EnvironmentError where the disk has no room for one checkpoint more, with the bytes needed and free. */
export function requireCheckpointRoom({ folder, weights, optimiser }: Checkpointed): void {
  const bytes = [...weights.values(), ...optimiser.state().values()].reduce((sum, tensor) => sum + byteSize(tensor), 0);
  requireRoom(folder, bytes + besides);
}

/**
 * Writes weights, optimiser and state; the folder appears whole or not at all, down to the disk. Then those go that are not
 * among the latest `keepLast` nor in `keep`, and those of other trainings.
 *
 * @throws EnvironmentError when the disk is full; earlier checkpoints survive, and nothing is left of this one.
 */
export function saveCheckpoint(
  what: Checkpointed,
  state: TrainingState,
  keepLast: number,
  keep: readonly number[] = [],
): void {
  const { folder, inputs, weights, optimiser } = what;
  const target = join(folder, stepFolder(state.step));
  const partial = `${target}.partial`;
  mkdirSync(folder, { recursive: true });
  removeLeftovers(folder);
  requireCheckpointRoom(what);
  try {
    mkdirSync(partial);
    writeSafetensorsFile(join(partial, "weights.safetensors"), weights);
    writeSafetensorsFile(join(partial, "optimiser.safetensors"), optimiser.state());
    const text = Buffer.from(JSON.stringify({ ...state, inputs }));
    writeBeside(join(partial, stateFile), text.length, () => [text])();
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw error;
  }
  if (existsSync(target)) retire(target);
  renameSync(partial, target);
  syncFolder(folder);
  const own = stepsOf(folder, inputs);
  const kept = new Set([...own.slice(0, keepLast), ...keep].map(stepFolder));
  for (const name of stepNames(folder)) if (!kept.has(name)) retire(join(folder, name));
}

/** A folder that is being removed has no name of a checkpoint: a half of one is never read. */
function retire(path: string): void {
  renameSync(path, `${path}.removed`);
  rmSync(`${path}.removed`, { recursive: true, force: true });
}

/** What a process that was killed has left half written or half removed. */
const leftovers = (folder: string): string[] =>
  readdirSync(folder).filter((name) => /^step-\d+\.(partial|removed)$/.test(name));

function removeLeftovers(folder: string): void {
  for (const name of leftovers(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}

/**
 * Paths of what the training of these inputs does not go on from: checkpoints of other trainings, and what a killed process left
 * half. Where the inputs are not known yet, of the latter only. Nobody may be writing there.
 */
export function staleCheckpoints(folder: string, inputs: string | undefined): string[] {
  if (!existsSync(folder)) return [];
  const isOthers = (name: string) => inputs !== undefined && readState(join(folder, name, stateFile)).inputs !== inputs;
  return [...stepNames(folder).filter(isOthers), ...leftovers(folder)].map((name) => join(folder, name));
}

/** Names of the whole checkpoints, the latest first. */
const stepNames = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
    .reverse();

/** Steps of the whole checkpoints of this training, the latest first. */
const stepsOf = (folder: string, inputs: string): number[] =>
  stepNames(folder).flatMap((name) => {
    const state = readState(join(folder, name, stateFile));
    return state.inputs === inputs ? [state.step] : [];
  });

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

/** Loads the latest checkpoint of this training into weights and optimiser; undefined where there is none. */
export function loadCheckpoint(what: Checkpointed): TrainingState | undefined {
  const { folder, inputs } = what;
  if (!existsSync(folder)) return undefined;
  for (const name of stepNames(folder)) {
    const state = readState(join(folder, name, stateFile));
    if (state.inputs !== inputs) continue;
    loadStep(what, state.step);
    const evaluations = state.evaluations.map(
      (figures): StepMetrics => ({
        ...Object.fromEntries(Object.entries(figures).map(([metric, value]) => [metric, value ?? Number.NaN])),
        step: figures.step ?? 0,
      }),
    );
    return { step: state.step, skipped: state.skipped, evaluations };
  }
  return undefined;
}

/** Loads weights and optimiser of the checkpoint after `step` steps. @throws LedgerError where its files are damaged */
export function loadStep({ folder, weights, optimiser }: Omit<Checkpointed, "inputs">, step: number): void {
  const at = join(folder, stepFolder(step));
  const file = join(at, "weights.safetensors");
  try {
    noGrad(() =>
      scope(() => {
        loadStateDict(weights, openSafetensors(file).tensors, file);
        optimiser.load(openSafetensors(join(at, "optimiser.safetensors")).tensors);
      }),
    );
  } catch (cause) {
    if (!(cause instanceof AmalgamError)) throw cause;
    throw new LedgerError(`the checkpoint can't be read: ${cause.message}`, {
      file: cause.place.file ?? at,
      hint: "Remove the checkpoint's folder: the training goes on from the one before, or begins again where there is none.",
      cause,
    });
  }
}
