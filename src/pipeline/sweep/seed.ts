import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { copyLedger } from "../../store/index.ts";
import { copyAll } from "../archive/files.ts";
import { type StageName, stageNames } from "../events.ts";
import { runPaths } from "../run.ts";
import { askLedger, doneAlike, type PlannedVariant } from "./plan.ts";

/** From which variant a run began, and which stages it has from there. */
const seedSchema = z.object({ from: z.string(), stages: z.array(z.enum(stageNames)) });
export type Seed = z.infer<typeof seedSchema>;

const seedFile = (folder: string) => join(folder, "seed.json");

/** How a variant's run began; undefined for one that did all by itself. */
export function seedOf(folder: string): Seed | undefined {
  if (!existsSync(seedFile(folder))) return undefined;
  return seedSchema.safeParse(JSON.parse(readFileSync(seedFile(folder), "utf8"))).data;
}

/** What the stages leave in a run folder beside the ledger. */
const artefacts: Readonly<Partial<Record<StageName, (paths: ReturnType<typeof runPaths>) => readonly string[]>>> = {
  sft: (paths) => [paths.sftModel, paths.metrics("sft")],
  select_quadruples: (paths) => [paths.quadruples, paths.pairs],
  wrpo: (paths) => [paths.fusedModel, paths.metrics("wrpo")],
};

/**
 * Begins the run of a variant from another's that has the most stages done with the same inputs: a copy of its ledger, so
 * that nothing is sampled, scored or computed twice even where the stages differ, and of what the stages in common made. The
 * folder is there as a whole or not at all. Does nothing where it is there already, or no other run has begun.
 */
export async function seedVariant(
  variant: PlannedVariant,
  others: readonly PlannedVariant[],
): Promise<Seed | undefined> {
  const partial = `${variant.folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  if (existsSync(variant.folder)) return seedOf(variant.folder);
  let best: { donor: PlannedVariant; stages: StageName[] } | undefined;
  for (const donor of others) {
    const begun = await askLedger(donor.folder, async (reader) => (await reader.stages.list()).length > 0);
    if (begun !== true) continue;
    const stages = await doneAlike(donor.folder, variant);
    if (best === undefined || stages.length > best.stages.length) best = { donor, stages };
  }
  if (best === undefined) return undefined;
  const { donor, stages } = best;
  mkdirSync(partial, { recursive: true });
  const has = (name: StageName) => stages.includes(name);
  copyLedger(donor.folder, partial, {
    stages,
    selections: [
      ...(has("select_sft") ? (["sft"] as const) : []),
      ...(has("select_quadruples") ? (["wrpo"] as const) : []),
    ],
    evaluations: has("evaluate"),
  });
  const [from, to] = [runPaths(donor.folder), runPaths(partial)];
  for (const stage of stages) {
    const [sources, targets] = [artefacts[stage]?.(from) ?? [], artefacts[stage]?.(to) ?? []];
    for (const [index, source] of sources.entries()) if (existsSync(source)) copyAll(source, targets[index]!);
  }
  const seed: Seed = { from: donor.name, stages };
  writeFileSync(seedFile(partial), `${JSON.stringify(seed)}\n`);
  renameSync(partial, variant.folder);
  return seed;
}
