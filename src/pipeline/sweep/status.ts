import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { LedgerError } from "../../schema/index.ts";
import type { StageName } from "../events.ts";
import { type RunStatus, runStatus } from "../status.ts";
import { sweepPaths } from "./plan.ts";

/** How far one variant of a sweep is. */
export interface VariantStatus {
  readonly name: string;
  readonly folder: string;
  readonly state: "waiting" | "running" | "interrupted" | "failed" | "done";
  /** The stage that it is at. */
  readonly stage?: StageName;
  /** Stages that are done, or that its recipe goes without. */
  readonly stagesDone: number;
  readonly stages: number;
}

/** How far a sweep is. */
export interface SweepStatus {
  readonly folder: string;
  readonly name: string;
  readonly variants: readonly VariantStatus[];
}

const knownSchema = z.object({ name: z.string(), variants: z.array(z.object({ name: z.string() })) });

/** Whether a folder is that of a sweep. */
export const isSweep = (folder: string): boolean => existsSync(sweepPaths(folder).json);

/** Reads how far the sweep in a folder is, while it may be running. Throws LedgerError where its `sweep.json` can't be read. */
export async function sweepStatus(folder: string): Promise<SweepStatus> {
  const root = resolve(folder);
  const { json, variant } = sweepPaths(root);
  const known = knownSchema.safeParse(parsed(json));
  if (!known.success)
    throw new LedgerError("this is not what a sweep writes", {
      file: json,
      hint: "Give the sweep's command once more: it writes the file anew.",
    });
  const variants: VariantStatus[] = [];
  for (const { name } of known.data.variants) {
    const own = variant(name);
    const found = existsSync(resolve(own, "run.db")) ? await runStatus(own) : undefined;
    variants.push({ name, folder: own, ...progressOf(found) });
  }
  return { folder: root, name: known.data.name, variants };
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function progressOf(run: RunStatus | undefined): Omit<VariantStatus, "name" | "folder"> {
  if (run === undefined) return { state: "waiting", stagesDone: 0, stages: 0 };
  const { stages } = run;
  const open = stages.find(({ state }) => state !== "done" && state !== "off");
  const counts = {
    stages: stages.length,
    stagesDone: stages.filter(({ state }) => state === "done" || state === "off").length,
  };
  if (open === undefined) return { state: "done", ...counts };
  if (run.writer !== undefined) return { state: "running", stage: open.stage, ...counts };
  return { state: open.state === "failed" ? "failed" : "interrupted", stage: open.stage, ...counts };
}
