import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { stringify } from "yaml";
import { statedLicence } from "../../models/index.ts";
import { syncFolder } from "../../nn/index.ts";
import { type LeftOut, leftOutReasons } from "../../preferences/index.ts";
import { AmalgamError, LedgerError, loadRecipe, type Recipe, replaceFile } from "../../schema/index.ts";
import { type JudgedResponse, type LedgerReader, readLedger, type StoredSelection } from "../../store/index.ts";
import { refuseTaken } from "../archive/export.ts";
import { explainDisk } from "../disk.ts";
import type { Listener } from "../events.ts";
import { rewardShown } from "../inspect/run-records.ts";
import { modelName } from "../model-name.ts";
import { checkInterrupted, runPaths } from "../run.ts";
import { withoutKeys } from "../without-keys.ts";
import { type CardSource, datasetCard } from "./card.ts";
import { type DatasetPart, type PartWriters, partWriters } from "./parts.ts";

export interface DatasetOptions {
  readonly run: string;
  /** Where the data set goes; there must be nothing yet. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** What a data set holds, in counts. */
export interface DatasetSummary {
  readonly folder: string;
  readonly rows: Readonly<Partial<Record<DatasetPart, number>>>;
}

/** Prompts whose responses are read at once. */
const together = 64;
const broken = "a text holds half a surrogate pair, which no file of UTF-8 can have";

/**
 * Writes what a run selected as a data set of Hugging Face's form: quadruples as preferences, the responses to tune on as prompts
 * with completions, and a card. The folder appears whole or not at all; the run may be going on.
 *
 * @throws LedgerError where there is no run or nothing is selected yet, EnvironmentError where the folder can't be written,
 * Interrupted on an abort
 */
export async function exportDataset(options: DatasetOptions): Promise<DatasetSummary> {
  const [run, folder] = [resolve(options.run), resolve(options.folder)];
  refuseTaken(folder);
  const partial = `${folder}.partial`;
  const reader = await readLedger(run);
  try {
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    const { reward } = await rewardShown(reader);
    const parts = partWriters(partial);
    const chosen = new Map<string, number>();
    const leftOut = new Map<string, number>();
    for (const split of ["wrpo", "sft"] as const)
      await writeSplit(reader, reward, split, { parts, chosen, leftOut, options });
    if (Object.keys(parts.rows).length === 0)
      throw new LedgerError("the run has selected nothing yet", {
        file: run,
        hint: `First comes: amalgam select ${options.run}`,
      });
    parts.finish();
    replaceFile(
      `${partial}/README.md`,
      await cardOf(reader, run, reward, { parts, chosen, leftOut }, options.listener),
    );
    syncFolder(partial);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
    syncFolder(dirname(folder));
    return { folder, rows: parts.rows };
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw explainDisk(error, folder);
  } finally {
    await reader.close();
  }
}

interface Writing {
  readonly parts: PartWriters;
  /** Rows whose preferred response of the sources is of each. */
  readonly chosen: Map<string, number>;
  readonly leftOut: Map<string, number>;
}

async function writeSplit(
  reader: LedgerReader,
  reward: string | undefined,
  split: "sft" | "wrpo",
  { parts, chosen, leftOut, options }: Writing & { readonly options: DatasetOptions },
): Promise<void> {
  const selections = await reader.selections.list(split);
  if (selections.length === 0) return;
  const prompts = new Map((await reader.prompts.list([split])).map((prompt) => [prompt.id, prompt]));
  const count = (map: Map<string, number>, name: string) => map.set(name, (map.get(name) ?? 0) + 1);
  const label = split === "sft" ? "for supervised tuning" : "preferences";
  for (let start = 0; start < selections.length; start += together) {
    checkInterrupted(options);
    options.listener.progress({ stage: "export", label, done: start, total: selections.length, unit: "rows" });
    const some = selections.slice(start, start + together);
    const ids = some.map(({ promptId }) => promptId);
    const sources = await reader.scores.ofPrompts("sources", reward, ids);
    const target = await reader.scores.ofPrompts("target", reward, ids);
    for (const selection of some) {
      if (selection.leftOut !== undefined) {
        count(leftOut, leftOutReasons[selection.leftOut as LeftOut] ?? selection.leftOut);
        continue;
      }
      const { id, domain = null, messages } = prompts.get(selection.promptId)!;
      const found = responsesOf(selection, sources.get(id) ?? [], target.get(id) ?? []);
      const all = [
        ...messages.map(({ content }) => content),
        ...Object.values(found)
          .flat()
          .map(({ text }) => text),
      ];
      if (!all.every((text) => text.isWellFormed())) {
        count(leftOut, broken);
        continue;
      }
      const best = found.sources[0]!;
      const about = { prompt_id: id, domain, prompt: messages.map(({ role, content }) => ({ role, content })) };
      if (split === "sft")
        parts.add("sft", {
          ...about,
          completion: answer(best),
          source: best.source,
          score: best.value,
          parts: best.parts,
        });
      else parts.add("preference", { ...about, ...preference(found) });
      count(chosen, best.source);
    }
  }
}

type Scored = JudgedResponse & Required<Pick<JudgedResponse, "value" | "parts">>;

interface Found {
  readonly sources: readonly Scored[];
  readonly target: readonly Scored[];
  readonly rejected: readonly Scored[];
  readonly sourceRejected: readonly Scored[];
}

const answer = ({ text }: Scored) => [{ role: "assistant", content: text }];
const withSource = ({ source, text, value }: Scored) => ({ source, content: text, reward: value });

/** Of pairs, the preferred response is that of the sources. */
function preference({ sources, target, rejected: [rejected], sourceRejected }: Found) {
  const chosen = target[0] ?? sources[0]!;
  return {
    chosen: answer(chosen),
    rejected: answer(rejected!),
    score_chosen: chosen.value,
    score_rejected: rejected!.value,
    parts_chosen: chosen.parts,
    parts_rejected: rejected!.parts,
    y_ws: sources.map(withSource),
    y_ls: sourceRejected.map(withSource),
  };
}

/** The responses that a selection names. Throws LedgerError where one of them lacks its score. */
function responsesOf(
  { promptId, sourceChosen, furtherSources = [], targetChosen, rejected, sourceRejected }: StoredSelection,
  ofSources: readonly JudgedResponse[],
  ofTarget: readonly JudgedResponse[],
): Found {
  const scored = (responses: readonly JudgedResponse[], keys: readonly (string | undefined)[]): Scored[] =>
    keys.flatMap((key) => {
      if (key === undefined) return [];
      // Two names of one model share their responses: the first by name has it, as in the selection.
      const [found] = responses.filter((one) => one.key === key).sort((a, b) => (a.source < b.source ? -1 : 1));
      if (found?.value !== undefined && found.parts !== undefined)
        return [{ ...found, value: found.value, parts: found.parts }];
      throw new LedgerError(
        `the response that was selected for the prompt ${promptId} has no score by the present reward`,
        {
          hint: "The recipe was changed since: `amalgam run` scores and selects anew, then export again.",
        },
      );
    });
  return {
    sources: scored(ofSources, [sourceChosen, ...furtherSources]),
    target: scored(ofTarget, [targetChosen]),
    rejected: scored([...ofTarget, ...ofSources], [rejected]),
    sourceRejected: scored(ofSources, [sourceRejected]),
  };
}

async function cardOf(
  reader: LedgerReader,
  run: string,
  reward: string | undefined,
  { parts, chosen, leftOut }: Writing,
  listener: Listener,
): Promise<string> {
  const recipe = recipeOf(run, listener);
  const digest = await reader.meta.get("recipe");
  return datasetCard({
    title: `${recipe?.name ?? "A run of Amalgam"}: what was selected`,
    made: [
      "Made by Amalgam: each source answered every prompt several times, a reward scored the answers, and the best and the worst were selected.",
      rowWords(recipe),
      `Reward: ${recipe === undefined ? "" : `${rewardsOf(recipe)}, `}identity ${reward}.`,
      ...(digest === undefined ? [] : [`Digest of the recipe: ${digest}.`]),
    ],
    rows: parts.rows,
    sources: await sourcesOf(recipe, run, chosen),
    leftOut: [...leftOut].map(([reason, rows]) => ({ reason, rows })),
    // Where the ledger lies is no part of what the data are.
    ...(recipe === undefined ? {} : { recipe: stringify(withoutKeys({ ...recipe, ledger: undefined })) }),
  });
}

/** What the columns are, by the usual rule; by another one it is the recipe that tells. */
function rowWords(recipe: Recipe | undefined): string {
  const { rows = "quadruples", rejected_from: from = "target" } = recipe?.selection ?? {};
  const rejected = {
    target: "the worst of the target's own",
    same_source: "the worst of the same source",
    sources: "the worst of all sources",
  };
  const chosen = rows === "pairs" ? "the best answer of the sources" : "the best of the target's own answers";
  return `In \`preference\`, \`chosen\` is ${chosen} and \`rejected\` ${rejected[from]}, \`y_ws\` the best of the sources; in \`sft\`, the completion is that best one. The recipe's \`selection\` may narrow who takes part.`;
}

/** The run's recipe; undefined where a program has made the run without one, or it can't be read any more, which is told. */
function recipeOf(run: string, listener: Listener): Recipe | undefined {
  const file = runPaths(run).recipe;
  if (!existsSync(file)) return undefined;
  try {
    return loadRecipe(file).recipe;
  } catch (error) {
    if (!(error instanceof AmalgamError)) throw error;
    listener.notice(`the card goes without the recipe, which can't be read: ${error.message}`);
    return undefined;
  }
}

const rewardsOf = ({ rewards }: Recipe): string =>
  rewards
    .map((reward) => {
      const model = "model" in reward && typeof reward.model === "string" ? ` (${reward.model})` : "";
      return `${"name" in reward ? `${reward.kind} ${reward.name}` : reward.kind}${model}`;
    })
    .join(", ");

async function sourcesOf(
  recipe: Recipe | undefined,
  baseFolder: string,
  chosen: ReadonlyMap<string, number>,
): Promise<CardSource[]> {
  if (recipe === undefined)
    return [...chosen].map(([name, rows]) => ({ name, what: "", licence: undefined, chosen: rows }));
  const sources: CardSource[] = [];
  for (const source of [...recipe.sources, { name: "target", ...recipe.target }]) {
    const embedded = "model" in source ? source : undefined;
    sources.push({
      name: source.name,
      what:
        embedded !== undefined
          ? modelName(embedded)
          : "recorded" in source
            ? "recorded responses"
            : `${(source as { endpoint: { model: string } }).endpoint.model} at an endpoint`,
      licence: embedded === undefined ? undefined : await statedLicence(embedded.model, { baseFolder }),
      chosen: chosen.get(source.name) ?? 0,
    });
  }
  return sources;
}
