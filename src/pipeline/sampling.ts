import { embeddedSource } from "../generation/index.ts";
import { loadFiles, type ModelFiles, modelIdentity } from "../models/index.ts";
import {
  amended,
  contentKey,
  ModelError,
  type ModelRecipe,
  type SampleOutcome,
  type Sampling,
  type Source,
  SourceError,
  type SourceRecipe,
} from "../schema/index.ts";
import { endpointIdentity, openEndpoint } from "../sources/index.ts";
import type { Draw } from "../store/index.ts";
import type { StageName } from "./events.ts";
import { checkInterrupted, type Run } from "./run.ts";
import { checkTrainings } from "./trainings.ts";

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

const cameUpWith = (source: string) => ({ hint: `This came up with the source ${source}.` });

/** A source of the recipe. */
async function lazySource(run: Run, recipe: SourceRecipe): Promise<LazySource> {
  if ("model" in recipe) return lazyModel(recipe.name, await run.model(recipe), recipe);
  const { name, endpoint } = recipe;
  const open = async () => openEndpoint(name, endpoint, { notice: (text) => run.listener.notice(text) });
  return { name, identity: endpointIdentity(endpoint), embedded: false, open };
}

/** What is to be drawn under one label of the ledger. */
export interface SamplingPlan {
  readonly stage: StageName;
  /** The ledger's label: "sources", "target", "evaluation/...". */
  readonly label: string;
  readonly draws: readonly (Omit<Draw, "identity" | "source"> & { readonly source: LazySource })[];
}

/**
 * Responses of a model are stored in groups of this many, or after this many milliseconds: each commit waits for the
 * disk. What an endpoint gave was paid for and is stored at once.
 */
const storedTogether = 32;
const storedAtLeastEvery = 1000;

/** Prompts that a notice names. */
const namedPrompts = 5;

/**
 * Draws every response of a plan that the ledger lacks. Responses are stored as they come: a run that was killed asks
 * for none of them again. Those that could not be had are named, and asked for again by the next call.
 *
 * @throws SourceError when a source gave nothing at all, then and before; Interrupted on an abort.
 */
export async function drawMissing(
  run: Run,
  plan: SamplingPlan,
): Promise<{ readonly drawn: number; readonly failed: number }> {
  await run.ledger.responses.declare(
    plan.label,
    plan.draws.map(({ source, ...draw }) => ({ ...draw, source: source.name, identity: source.identity })),
  );
  await requireKeys(run, plan);
  // One source that can't go on ends the others at their next response: a person has to do something first.
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  let failure: { readonly error: unknown } | undefined;
  let drawn = 0;
  let failed = 0;
  const inTurn = async (draws: readonly PlannedDraw[]) => {
    for (const draw of draws) {
      if (signal.aborted) return;
      try {
        const counts = await drawFrom(run, plan, draw, signal);
        drawn += counts.drawn;
        failed += counts.failed;
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }
  };
  await Promise.all(turns(plan.draws).map(inTurn));
  checkInterrupted(run);
  if (failure !== undefined) throw failure.error;
  return { drawn, failed };
}

/** A missing key is told before anything is drawn, where the ledger lacks responses that it is needed for. */
async function requireKeys({ ledger }: Run, { label, draws }: SamplingPlan): Promise<void> {
  for (const { source } of draws) {
    if (source.embedded || (await ledger.responses.missing(label, source.name)).length === 0) continue;
    await (await amended(cameUpWith(source.name), () => source.open())).close();
  }
}

type PlannedDraw = SamplingPlan["draws"][number];

/** Embedded models in one turn; endpoints beside them, but those of one server and sampling share their responses. */
function turns(draws: readonly PlannedDraw[]): PlannedDraw[][] {
  const found = new Map<string, PlannedDraw[]>();
  for (const draw of draws) {
    const { source, sampling } = draw;
    const turn = source.embedded ? "embedded" : contentKey({ identity: source.identity, sampling });
    found.set(turn, [...(found.get(turn) ?? []), draw]);
  }
  return [...found.values()];
}

async function drawFrom(
  run: Run,
  { label, stage }: SamplingPlan,
  { source, sampling }: PlannedDraw,
  signal: AbortSignal,
): Promise<{ readonly drawn: number; readonly failed: number }> {
  const { ledger, listener } = run;
  const requests = await ledger.responses.missing(label, source.name);
  const total = requests.reduce((sum, request) => sum + request.indices.length, 0);
  if (total === 0) return { drawn: 0, failed: 0 };
  const opened = await amended(cameUpWith(source.name), () => source.open());
  const without = new Set<string>();
  let drawn = 0;
  let done = 0;
  let failed = 0;
  let reason = "";
  let waiting: SampleOutcome[] = [];
  let stored = performance.now();
  const store = async () => {
    drawn += await ledger.responses.add(label, source.name, waiting);
    waiting = [];
    stored = performance.now();
  };
  const tell = () => listener.progress({ stage, label: source.name, done, total, unit: "responses" });
  try {
    try {
      tell();
      for await (const outcome of opened.sample(requests, sampling, signal)) {
        waiting.push(outcome);
        if ("failure" in outcome) {
          failed += 1;
          reason = outcome.failure;
          without.add(outcome.promptId);
        } else {
          done += 1;
        }
        const together = source.embedded ? storedTogether : 1;
        if (waiting.length >= together || performance.now() - stored > storedAtLeastEvery) await store();
        tell();
      }
    } finally {
      if (waiting.length > 0) await store();
    }
  } catch (error) {
    throw error instanceof SourceError || error instanceof ModelError ? error.amend(cameUpWith(source.name)) : error;
  } finally {
    await opened.close();
  }
  if (signal.aborted) return { drawn, failed };
  const named = `prompts: ${[...without].slice(0, namedPrompts).join(", ")}${without.size > namedPrompts ? ", ..." : ""}`;
  if (done === 0) await refuseSilent(run, label, source.name, `${reason}; ${named}`);
  if (failed > 0)
    listener.notice(
      `${source.name}: ${failed} of ${total} responses are missing (${reason}); ${named}; run again to ask for them once more`,
    );
  return { drawn, failed };
}

/** A source that has answered before may fail at what is left; one that never has is of no use. */
async function refuseSilent({ ledger }: Run, label: string, source: string, reason: string): Promise<void> {
  const status = (await ledger.drawStatus()).find((draw) => draw.stage === label && draw.source === source);
  if (status !== undefined && status.done > 0) return;
  throw new SourceError(`the source ${source} gave no response at all: ${reason}`, {
    field: `sources: ${source}`,
    hint: "Mend what it says, or take the source out of the recipe, and run again: what the others gave is kept.",
  });
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
  // Hours may lie between the first response and the training.
  checkTrainings(run.recipe, (await run.model(run.recipe.target)).decoderConfig);
  const draws: PlannedDraw[] = [];
  for (const recipe of run.recipe.sources) {
    const source = await lazySource(run, recipe);
    const sampling = samplingOf(run, recipe.sampling);
    draws.push({ source, sampling, n: run.recipe.sampling.n, splits: ["sft", "wrpo"] });
  }
  for (const [index, { source, sampling }] of draws.entries()) {
    const key = contentKey({ identity: source.identity, sampling });
    const twin = draws
      .slice(0, index)
      .find((other) => contentKey({ identity: other.source.identity, sampling: other.sampling }) === key);
    if (twin !== undefined)
      run.listener.notice(
        `${twin.source.name} and ${source.name} are one model with one sampling, so they share their responses; for others, give one of them another temperature, or raise n`,
      );
  }
  return drawMissing(run, { stage: "sample", label: "sources", draws });
}
