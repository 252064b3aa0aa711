import type { ModelFiles } from "../models/index.ts";
import { checkCode } from "../rewards/index.ts";
import {
  amended,
  contentKey,
  DataError,
  describeError,
  EnvironmentError,
  ModelError,
  type SampleOutcome,
  type SampleRequest,
  type Sampling,
  type Source,
  SourceError,
} from "../schema/index.ts";
import type { Draw } from "../store/index.ts";
import { suitesOf } from "./evaluate/in-run.ts";
import type { StageName } from "./events.ts";
import { type LazySource, lazyModel, lazySource } from "./lazy-source.ts";
import { checkInterrupted, type Run } from "./run.ts";
import { checkRewards } from "./scoring.ts";
import { type SpendingAccount, spendingAccount, spendingWords } from "./spending.ts";
import { grouped } from "./streams.ts";
import { checkTrainings } from "./trainings.ts";

const cameUpWith = (source: string) => ({ hint: `This came up with the source ${source}.` });

/** What is to be drawn under one label of the ledger. */
export interface SamplingPlan {
  readonly stage: StageName;
  /** The ledger's label: "sources", "target", "evaluation/...". */
  readonly label: string;
  readonly draws: readonly (Omit<Draw, "identity" | "source"> & { readonly source: LazySource })[];
  /** Where what the draws cost is kept. */
  readonly account?: SpendingAccount | undefined;
}

/**
 * Responses are stored in groups of so many, or so many milliseconds after the first came: each commit waits for the
 * disk. What an endpoint gave was paid for, so it does not wait long.
 */
const storing = {
  embedded: { most: 32, withinMs: 1000 },
  endpoint: { most: 256, withinMs: 10 },
} as const;

/** A source that is given several prompts at once gets fewer where no more are there within this time. */
const partWithinMs = 1000;
/** Prompts of an embedded model at once, where other machines could draw some of them. */
const sharedTogether = 64;

/** Prompts that a notice names. */
const namedPrompts = 5;

/**
 * Draws every response of a plan that the ledger lacks. Responses are stored as they come: a run that was killed asks
 * for none of them again. Those that could not be had are named, and asked for again by the next call; with the run's
 * `retry` at once, as long as that brings some.
 *
 * @throws SourceError when a source could not go on or gave nothing at all, then and before, after the others have drawn
 * all they could; Interrupted on an abort.
 */
export async function drawMissing(run: Run, plan: SamplingPlan): Promise<DrawCounts> {
  await run.ledger.responses.declare(plan.label, asDraws(plan.draws));
  await requireKeys(run, plan);
  await requireSandbox(run, plan);
  let drawn = 0;
  for (;;) {
    const round = await drawRound(run, plan);
    drawn += round.drawn;
    if (run.retry && round.failed > 0 && round.drawn > 0) continue;
    return { drawn, failed: round.failed };
  }
}

interface DrawCounts extends Record<string, number> {
  readonly drawn: number;
  readonly failed: number;
}

/** What one source can't do leaves the others as they are; anything else ends them all. */
const isItsOwn = (error: unknown): boolean =>
  error instanceof SourceError ||
  error instanceof ModelError ||
  error instanceof DataError ||
  error instanceof EnvironmentError;

async function drawRound(run: Run, plan: SamplingPlan): Promise<DrawCounts> {
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  const failures: { readonly source: string; readonly error: unknown }[] = [];
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
        failures.push({ source: draw.source.name, error });
        if (!isItsOwn(error)) stop.abort(error);
      }
    }
  };
  await Promise.all(turns(plan.draws).map(inTurn));
  checkInterrupted(run);
  const [first, ...others] = failures.sort((a, b) => Number(isItsOwn(a.error)) - Number(isItsOwn(b.error)));
  if (first === undefined) return { drawn, failed };
  for (const { source, error } of others) run.listener.notice(`${source}: ${describeError(error)}`);
  throw first.error instanceof SourceError
    ? first.error.amend({ hint: await missingWords(run, plan.label) })
    : first.error;
}

/** What each source still owes, for the person who has to do something about it. */
async function missingWords({ ledger, folder }: Run, label: string): Promise<string> {
  const owed = (await ledger.drawStatus())
    .filter((draw) => draw.stage === label && draw.done < draw.total)
    .map(({ source, done, total }) => `${source} ${total - done} of ${total}`);
  return owed.length === 0
    ? ""
    : `Still missing: ${owed.join(", ")}. \`amalgam sample --retry ${folder}\` asks for them.`;
}

/** A missing key is told before anything is drawn, where the ledger lacks responses that it is needed for. */
async function requireKeys({ ledger }: Run, { label, draws }: SamplingPlan): Promise<void> {
  for (const { source } of draws) {
    if (source.embedded || (await ledger.responses.lacking(label, source.name)) === 0) continue;
    await (await amended(cameUpWith(source.name), () => source.open())).close();
  }
}

/** So is a sandbox, where the responses that are to be drawn have code that is to be run. */
async function requireSandbox({ ledger, recipe }: Run, { label, draws }: SamplingPlan): Promise<void> {
  if (!recipe.rewards.some(({ kind }) => kind === "code")) return;
  const lacking = await Promise.all(draws.map(({ source }) => ledger.responses.lacking(label, source.name)));
  if (lacking.some((count) => count > 0)) await checkCode();
}

export type PlannedDraw = SamplingPlan["draws"][number];

/** The draws as the ledger knows them. */
export const asDraws = (draws: readonly PlannedDraw[]): Draw[] =>
  draws.map(({ source, ...draw }) => ({ ...draw, source: source.name, identity: source.identity }));

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
  { label, stage, account }: SamplingPlan,
  { source, sampling }: PlannedDraw,
  signal: AbortSignal,
): Promise<DrawCounts> {
  const { ledger, listener } = run;
  const total = await ledger.responses.lacking(label, source.name);
  if (total === 0) return { drawn: 0, failed: 0 };
  const opened = await amended(cameUpWith(source.name), () => source.open());
  const without = new Set<string>();
  let drawn = 0;
  let done = 0;
  let failed = 0;
  let reason = "";
  const tell = () => listener.progress({ stage, label: source.name, done, total, unit: "responses" });
  try {
    tell();
    // What can't be stored is not asked for.
    const unstored = new AbortController();
    const either = AbortSignal.any([signal, unstored.signal]);
    const requests = ledger.responses.missing(label, source.name, either);
    const { most, withinMs } = storing[source.embedded ? "embedded" : "endpoint"];
    for await (const outcomes of grouped(sampled(opened, run, source, requests, sampling, either), most, withinMs)) {
      try {
        await account?.save();
        drawn += await ledger.responses.add(label, source.name, outcomes);
      } catch (error) {
        unstored.abort(error);
        throw error;
      }
      const failures = outcomes.filter((outcome) => "failure" in outcome);
      for (const { failure, promptId } of failures) {
        reason = failure;
        without.add(promptId);
      }
      failed += failures.length;
      done += outcomes.length - failures.length;
      tell();
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
      `${source.name}: ${failed} of ${total} responses are missing (${reason}); ${named}; \`amalgam sample --retry ${run.folder}\` asks for them again`,
    );
  return { drawn, failed };
}

/**
 * An endpoint asks for its requests when it has room for one. Other sources take them all before they begin: they are
 * given what there is, in parts.
 */
async function* sampled(
  opened: Source,
  { ledger }: Run,
  { together, embedded }: LazySource,
  requests: AsyncIterable<SampleRequest>,
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<SampleOutcome> {
  if (together === undefined) return yield* opened.sample(requests, sampling, signal);
  const most = ledger.shared && embedded ? Math.min(together, sharedTogether) : together;
  for await (const part of grouped(requests, most, partWithinMs)) {
    if (signal.aborted) return;
    yield* opened.sample(part, sampling, signal);
  }
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

/** What the recipe asks of its sources; what endpoints spend goes to the account. */
export async function sourceDraws(run: Run, account?: SpendingAccount): Promise<PlannedDraw[]> {
  const draws: PlannedDraw[] = [];
  for (const recipe of run.recipe.sources) {
    const source = await lazySource(run, recipe, account?.budget);
    const sampling = samplingOf(run, recipe.sampling);
    draws.push({ source, sampling, n: run.recipe.sampling.n, splits: ["sft", "wrpo"] });
  }
  return draws;
}

/** What it asks of the model that WRPO starts from. */
export const targetDraws = (run: Run, files: ModelFiles): PlannedDraw[] => [
  {
    source: lazyModel("target", files, run.recipe.target),
    sampling: samplingOf(run, {}),
    n: run.recipe.sampling.n,
    splits: ["wrpo"],
  },
];

/** n responses of every source to every training prompt (paper section 4.1). */
export async function sampleSources(run: Run): Promise<Record<string, number>> {
  // Hours may lie between the first response and the training.
  checkTrainings(run.recipe, (await run.model(run.recipe.target)).decoderConfig);
  await checkRewards(run);
  suitesOf(run);
  const account = await spendingAccount(run);
  const draws = await sourceDraws(run, account);
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
  try {
    return await drawMissing(run, { stage: "sample", label: "sources", draws, account });
  } finally {
    await account?.save();
    if (account !== undefined) run.listener.notice(`spent so far: ${spendingWords(account.budget.spent())}`);
  }
}
