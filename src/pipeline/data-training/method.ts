import type { LoadedModel } from "../../models/index.ts";
import { type Objective, objectiveOf } from "../../objectives/index.ts";
import type { WantedTexts } from "../../preferences/index.ts";
import {
  contentKey,
  type DataTrainingSettings,
  type PreferenceSettings,
  type SupervisedSettings,
} from "../../schema/index.ts";
import type { Ledger } from "../../store/index.ts";
import {
  type LazyRows,
  type LazySequence,
  lazyPreferenceTask,
  lazySftTask,
  type MovingReference,
  movingReference,
  type PreferenceRow,
  packRows,
  type ResolvedOptimisation,
  type TrainingOptions,
  type TrainingTask,
} from "../../training/index.ts";
import type { Listener } from "../events.ts";
import { type Parts, preferenceItems } from "./parts.ts";
import { computeReference, type StoredReference } from "./reference.ts";
import type { ReadData } from "./rows.ts";

/** What is trained on, and which rows of the file each of its items is. */
export interface DataTask<Item> {
  readonly task: TrainingTask<Item>;
  /** The rows of each item to learn from, in the order of the items. */
  readonly rowsOf: readonly LazySequence[];
  readonly order?: TrainingOptions["order"];
}

export interface Preparing {
  readonly data: ReadData;
  readonly rows: LazyRows;
  readonly model: LoadedModel;
  readonly recipe: ResolvedOptimisation;
  readonly dtype: "bfloat16" | "float32";
  readonly ledger: Ledger;
  /** Where the reference's log-probs are noted, under which digest, and what was noted there. */
  readonly reference: { readonly file: string; readonly inputs: string; readonly stored?: StoredReference | undefined };
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

type Use<Result> = <Item>(task: DataTask<Item>) => Promise<Result>;

/** How the rows are learnt: by supervised tuning, or by an objective of preferences. */
export interface DataMethod {
  readonly wanted: WantedTexts;
  /** The most responses that stand in an item, at one prompt each. */
  readonly responses: number;
  readonly tokenisation: PreferenceSettings["tokenisation"];
  /**
   * Digest of all that decides the reference's log-probs of rows as these tokens; undefined where none are computed
   * beforehand.
   */
  referenceInputs(tokens: string, model: string, dtype: string): string | undefined;
  /** Prepares the task on these parts of the rows, and frees what it holds after its use. */
  withTask<Result>(parts: Parts<number>, given: Preparing, use: Use<Result>): Promise<Result>;
}

/** The method that the settings name, on rows that have so many responses of sources. */
export const methodOf = (settings: DataTrainingSettings, sourceResponses: number): DataMethod =>
  settings.objective === "sft"
    ? supervised(settings as SupervisedSettings)
    : preferences(settings as PreferenceSettings, objectiveOf(settings as PreferenceSettings, sourceResponses));

/** An item is a row, or a sequence of about `max_length` tokens. */
const supervised = ({ packing, max_length }: SupervisedSettings): DataMethod => ({
  wanted: { objective: "sft", roles: ["completion"] },
  responses: 1,
  tokenisation: "own",
  referenceInputs: () => undefined,
  withTask({ training, heldOut }, { data, rows }, use) {
    const alone = (indices: readonly number[]) => indices.map((index) => [index]);
    const sequences = packing ? packRows(data.rows, rows, training, max_length) : alone(training);
    return use({ task: lazySftTask(rows, sequences, alone(heldOut)), rowsOf: sequences });
  },
});

function preferences(settings: PreferenceSettings, objective: Objective): DataMethod {
  const { name, roles, unpaired = false, mismatched = false, needsHeads = false, needsReference } = objective;
  const { reference_sync_steps: everySteps, reference_sync_alpha: alpha } = settings;
  const { batch_size, seed, held_out_share } = settings;
  return {
    wanted: { objective: name, roles, unpaired },
    responses: roles.length * (mismatched ? 2 : 1),
    tokenisation: settings.tokenisation,
    referenceInputs: (tokens, model, dtype) =>
      !needsReference || everySteps !== undefined
        ? undefined
        : contentKey({
            version: 2,
            ...{ tokens, model, dtype, roles, needsHeads },
            matching: mismatched ? { batch_size, seed, held_out_share } : null,
          }),
    async withTask(parts, given, use) {
      const { model } = given;
      if (everySteps === undefined) return use(await preferenceTaskOn(parts, given, { settings, objective }));
      const moving = movingReference(model.decoder, { everySteps, alpha });
      try {
        return await use(await preferenceTaskOn(parts, given, { settings, objective, moving }));
      } finally {
        moving.dispose();
      }
    },
  };
}

interface Comparing {
  readonly settings: PreferenceSettings;
  readonly objective: Objective;
  readonly moving?: MovingReference;
}

async function preferenceTaskOn(
  parts: Parts<number>,
  given: Preparing,
  { settings, objective, moving }: Comparing,
): Promise<DataTask<PreferenceRow>> {
  const { rows, recipe, ledger } = given;
  const { stored, ...noted } = given.reference;
  const partnerOf = (index: number) => stored?.references.get(index)?.partner;
  const { training, heldOut } = await preferenceItems(parts, { ...given, settings }, objective, stored && partnerOf);
  const items = [...training, ...heldOut];
  const references =
    !objective.needsReference || moving !== undefined
      ? undefined
      : (stored?.references ??
        (await computeReference({
          ...given,
          ...noted,
          ...{ items, objective, cache: ledger.referenceLogps, microBatchTokens: recipe.micro_batch_tokens },
        })));
  const known = training.filter(({ index }) => references?.has(index) ?? true);
  const task = lazyPreferenceTask({
    ...{ rows, objective, training: known, heldOut },
    ...(references === undefined ? {} : { references }),
    ...(moving === undefined ? {} : { moving }),
  });
  return {
    task,
    rowsOf: known.map(({ index }) => [index]),
    ...(objective.mismatched ? { order: "batches" } : {}),
  };
}
