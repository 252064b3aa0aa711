import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { GradedResponse } from "../../preferences/index.ts";
import {
  amended,
  contentKey,
  loadRecipe,
  type Override,
  RecipeError,
  replaceFile,
  resolvedRecipe,
  type SampledResponse,
  type Sampling,
} from "../../schema/index.ts";
import { recordedIdentity } from "../../sources/index.ts";
import { type Draw, type Ledger, openLedger } from "../../store/index.ts";
import type { Listener } from "../events.ts";
import { skippedWords } from "../prompts.ts";
import { namedRewards, rewardValues } from "../reward-values.ts";
import { checkInterrupted, type Run, runOver, runPaths } from "../run.ts";
import { openReward, scoreMissing } from "../scoring.ts";
import { type AgreementFigures, agreementFigures, type ScoredRow } from "./figures.ts";
import { type GradedFile, type PlacedRow, readGraded } from "./rows.ts";
import { agreementMarkdown } from "./text.ts";

export interface AgreementOptions {
  /** The graded responses: a file, or a data set's folder. */
  readonly file: string;
  /** Of a folder: its split. */
  readonly split?: string | undefined;
  /** Where scores and figures are kept; made where there is none. */
  readonly folder: string;
  /** The recipe whose rewards are held to the file. */
  readonly recipeFile: string;
  readonly overrides?: readonly (string | Override)[];
  readonly signal: AbortSignal;
  readonly listener: Listener;
  readonly offline?: boolean;
}

export interface AgreementReport extends AgreementFigures {
  readonly file: string;
  readonly reward: string;
  /** Rows that are of no use, and rows that a reward failed on. */
  readonly skippedRows: number;
  readonly unscoredRows: number;
}

/** The files of the folder that hold what came out. */
export const agreementFiles = (folder: string) => ({
  json: join(folder, "agreement.json"),
  markdown: join(folder, "agreement.md"),
});

/** Under which name the ledger of such a folder says what it is of. */
const fileEntry = "agreement";

/**
 * Scores the graded responses of a file by a recipe's rewards, and tells how far they agree with the grades and with each other. Scores are
 * kept in the folder's ledger as they come: stopped or killed, the same call goes on. Writes agreement.json and agreement.md.
 *
 * @throws DataError, RecipeError, SourceError, LedgerError: whatever is wrong with file, recipe, rewards or folder; Interrupted on an abort.
 */
export async function rewardAgreement(options: AgreementOptions): Promise<AgreementReport> {
  const folder = resolve(options.folder);
  const loaded = loadRecipe(options.recipeFile, options.overrides);
  refuseRunFolder(folder);
  const { rewards, seed, evaluation } = loaded.recipe;
  const graded = await amended({ file: loaded.file }, () => readGraded(options.file, rewards, options.split));
  const words = skippedWords(graded.skipped);
  if (words !== undefined) options.listener.notice(words);
  const identity = await recordedIdentity(options.file, { split: options.split });
  const ledger = await openLedger(folder);
  const run = runOver(loaded, resolvedRecipe(loaded.recipe, loaded.baseFolder, folder), ledger, options);
  try {
    await refuseRunLedger(ledger, folder);
    await ledger.prompts.replace(graded.prompts.map((prompt) => ({ ...prompt, split: "evaluation" as const })));
    await ledger.meta.set(fileEntry, identity);
    const { rows, reward } = await scored(run, graded, identity);
    const complete = rows.filter((row) => row !== undefined);
    const report: AgreementReport = {
      file: resolve(options.file),
      reward,
      skippedRows: graded.skipped.length,
      unscoredRows: rows.length - complete.length,
      ...agreementFigures(complete, namedRewards(rewards), { resamples: evaluation.bootstrap, seed }),
    };
    const files = agreementFiles(folder);
    replaceFile(files.json, `${JSON.stringify(report, null, 2)}\n`);
    replaceFile(files.markdown, `${agreementMarkdown(report)}\n`);
    return report;
  } finally {
    await run.close();
  }
}

const elsewhere = { hint: "Name a new folder for the agreement: amalgam agreement FILE FOLDER --recipe RECIPE" };

function refuseRunFolder(folder: string): void {
  const { recipe } = runPaths(folder);
  if (existsSync(recipe)) throw new RecipeError("this is the folder of a run", { file: recipe, ...elsewhere });
}

async function refuseRunLedger({ meta, prompts }: Ledger, folder: string): Promise<void> {
  if ((await meta.get(fileEntry)) !== undefined || (await prompts.list()).length === 0) return;
  throw new RecipeError("the folder's ledger is a run's", { file: folder, ...elsewhere });
}

const labelOf = (layer: number): string => `agreement/${layer + 1}`;

/** Nothing is drawn: the ledger wants to know how. */
const recordedSampling: Sampling = { temperature: 0, top_p: 1, top_k: 0, max_tokens: 1, stop: [], seed: 0 };

/** Each response of a row with its index among those of its side. */
function indexed(
  responses: readonly GradedResponse[],
): { readonly response: GradedResponse; readonly index: number }[] {
  const counts = new Map<string, number>();
  return responses.map((response) => {
    const index = counts.get(response.side) ?? 0;
    counts.set(response.side, index + 1);
    return { response, index };
  });
}

/** Puts the rows into the ledger and has them scored, layer by layer, so that what compares responses compares those of one row. */
async function scored(
  run: Run,
  { rows }: GradedFile,
  identity: string,
): Promise<{ readonly rows: (ScoredRow | undefined)[]; readonly reward: string }> {
  const count = rows.reduce((most, { layer }) => Math.max(most, layer + 1), 0);
  const valuesOf = rewardValues(run.recipe.rewards);
  const reward = await openReward(run);
  const found = new Map<PlacedRow, ScoredRow>();
  try {
    for (let layer = 0; layer < count; layer += 1) {
      checkInterrupted(run);
      const some = rows.filter((row) => row.layer === layer);
      const label = labelOf(layer);
      await record(run, label, some, contentKey({ file: identity, layer }));
      // The later layers may have a row or two: that these failed is no reason to give up the others.
      await scoreMissing(run, "score", label, reward, { silence: layer === 0 ? "error" : "counted" });
      const byPrompt = new Map(some.map((row) => [row.promptId, row]));
      for await (const { prompt, responses } of run.ledger.scores.byPrompt(label, reward.identity)) {
        const row = byPrompt.get(prompt.id);
        if (row === undefined) continue;
        const scores = new Map(responses.map((one) => [`${one.source} ${one.index}`, one]));
        const complete = indexed(row.responses).flatMap(({ response: { side, grade }, index }) => {
          const score = scores.get(`${side} ${index}`);
          if (score === undefined) return [];
          return [{ grade, value: score.value, values: valuesOf(score.parts) }];
        });
        if (complete.length === row.responses.length)
          found.set(row, { promptId: row.promptId, subset: row.subset, responses: complete });
      }
    }
  } finally {
    await reward.close();
  }
  return { rows: rows.map((row) => found.get(row)), reward: reward.name };
}

/** Rows that are stored in one commit. */
const storedTogether = 500;

async function record(run: Run, label: string, rows: readonly PlacedRow[], identity: string): Promise<void> {
  const { responses } = run.ledger;
  const sides = new Map<string, { promptId: string; text: string; index: number }[]>();
  for (const { promptId, responses: some } of rows)
    for (const { response, index } of indexed(some)) {
      const list = sides.get(response.side) ?? [];
      sides.set(response.side, list);
      list.push({ promptId, text: response.text, index });
    }
  const draws = [...sides].map(
    ([side, list]): Draw => ({
      source: side,
      identity: contentKey({ identity, side }),
      sampling: recordedSampling,
      n: list.reduce((most, { index }) => Math.max(most, index + 1), 0),
      splits: ["evaluation"],
    }),
  );
  await responses.declare(label, draws);
  for (const [side, list] of sides)
    for (let from = 0; from < list.length; from += storedTogether) {
      checkInterrupted(run);
      const outcomes = list
        .slice(from, from + storedTogether)
        .map((one): SampledResponse => ({ ...one, finish: "stop", promptTokens: 0, responseTokens: 0 }));
      await responses.add(label, side, outcomes);
    }
}
