import { embeddedSource } from "../generation/index.ts";
import { loadFiles, type ModelFiles, modelIdentity } from "../models/index.ts";
import {
  type ModelRecipe,
  type SampleOutcome,
  type Sampling,
  type Source,
  SourceError,
  type SourceRecipe,
} from "../schema/index.ts";
import { openEndpoint } from "../sources/index.ts";
import type { Draw } from "../store/index.ts";
import type { StageName } from "./events.ts";
import { checkInterrupted, type Run } from "./run.ts";

/** A source whose weights are loaded only if something has to be drawn from it. */
export interface LazySource {
  readonly name: string;
  readonly identity: string;
  /** Embedded models go one after another: each takes the memory and all cores. */
  readonly embedded: boolean;
  open(): Promise<Source>;
}

export function lazyModel(
  name: string,
  files: ModelFiles,
  recipe: Pick<ModelRecipe, "precision" | "device">,
): LazySource {
  return {
    name,
    identity: modelIdentity(files, recipe),
    embedded: true,
    open: async () => embeddedSource(name, loadFiles(files, recipe)),
  };
}

/** A source of the recipe. An endpoint is opened at once, so that a missing key is told before anything is drawn. */
async function lazySource(run: Run, recipe: SourceRecipe): Promise<LazySource> {
  if ("model" in recipe) return lazyModel(recipe.name, await run.model(recipe), recipe);
  const source = openEndpoint(recipe.name, recipe.endpoint);
  return { name: recipe.name, identity: source.identity, embedded: false, open: async () => source };
}

/** What is to be drawn under one label of the ledger. */
export interface SamplingPlan {
  readonly stage: StageName;
  /** The ledger's label: "sources", "target", "evaluation/...". */
  readonly label: string;
  readonly draws: readonly (Omit<Draw, "identity" | "source"> & { readonly source: LazySource })[];
}

/** Responses are stored in groups of this many, or after this many milliseconds: each commit waits for the disk. */
const storedTogether = 32;
const storedAtLeastEvery = 1000;

/**
 * Draws every response of a plan that the ledger lacks. Responses are stored as they come: a run that was killed asks
 * for none of them again. Those that could not be had are named, and asked for again by the next call.
 *
 * @throws SourceError when a source gave nothing at all; Interrupted on an abort.
 */
export async function drawMissing(
  run: Run,
  plan: SamplingPlan,
): Promise<{ readonly drawn: number; readonly failed: number }> {
  const { ledger, listener } = run;
  await ledger.responses.declare(
    plan.label,
    plan.draws.map(({ source, ...draw }) => ({ ...draw, source: source.name, identity: source.identity })),
  );
  let drawn = 0;
  let failed = 0;
  const one = async ({ source, sampling }: SamplingPlan["draws"][number]) => {
    const requests = await ledger.responses.missing(plan.label, source.name);
    const total = requests.reduce((sum, request) => sum + request.indices.length, 0);
    if (total === 0) return;
    checkInterrupted(run);
    const opened = await source.open();
    let done = 0;
    let reason = "";
    let waiting: SampleOutcome[] = [];
    let stored = performance.now();
    const store = async () => {
      drawn += await ledger.responses.add(plan.label, source.name, waiting);
      waiting = [];
      stored = performance.now();
    };
    try {
      listener.progress({ stage: plan.stage, label: source.name, done, total, unit: "responses" });
      for await (const outcome of opened.sample(requests, sampling, run.signal)) {
        waiting.push(outcome);
        if ("failure" in outcome) {
          failed += 1;
          reason = outcome.failure;
        } else {
          done += 1;
        }
        if (waiting.length >= storedTogether || performance.now() - stored > storedAtLeastEvery) await store();
        listener.progress({ stage: plan.stage, label: source.name, done, total, unit: "responses" });
      }
    } finally {
      if (waiting.length > 0) await store();
      await opened.close();
    }
    checkInterrupted(run);
    if (done === 0)
      throw new SourceError(`the source ${source.name} gave no response at all: ${reason}`, {
        field: `sources: ${source.name}`,
      });
    if (done < total)
      listener.notice(
        `${source.name}: ${total - done} of ${total} responses are missing (${reason}); run again to ask for them once more`,
      );
  };
  const inTurn = async () => {
    for (const draw of plan.draws) if (draw.source.embedded) await one(draw);
  };
  await Promise.all([inTurn(), ...plan.draws.filter(({ source }) => !source.embedded).map(one)]);
  return { drawn, failed };
}

/** Sampling parameters that a source or the evaluation sets for itself. */
type SamplingOverrides = { readonly [Field in keyof Sampling]?: Sampling[Field] | undefined };

/** Sampling parameters of the recipe, with a part's own on top. */
export function samplingOf({ recipe }: Run, own: SamplingOverrides): Sampling {
  const { n: _, ...common } = recipe.sampling;
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  return { ...common, seed: recipe.seed, ...given };
}

/** n responses of every source to every training prompt (paper section 4.1). */
export async function sampleSources(run: Run): Promise<Record<string, number>> {
  const sources = [];
  for (const recipe of run.recipe.sources) sources.push({ recipe, source: await lazySource(run, recipe) });
  return drawMissing(run, {
    stage: "sample",
    label: "sources",
    draws: sources.map(({ recipe, source }) => ({
      source,
      sampling: samplingOf(run, recipe.sampling),
      n: run.recipe.sampling.n,
      splits: ["sft", "wrpo"],
    })),
  });
}
