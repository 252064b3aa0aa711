import type { ModelFiles } from "../models/index.ts";
import type { Objective, Role } from "../objectives/index.ts";
import { contentKey, TrainingError } from "../schema/index.ts";
import type { StoredSelection } from "../store/index.ts";
import { type LengthLimits, type TextRow, type TokenisedRows, tokeniseRows } from "../training/index.ts";
import type { Run } from "./run.ts";

export interface SelectedRows {
  readonly rows: TextRow[];
  /** Selections that lack a response that was asked for. */
  readonly lacking: number;
  readonly digest: string;
}

/** The keys of the responses of a selection, in the objective's order. */
export type PickKeys = (selection: StoredSelection) => readonly (string | undefined)[];

async function pickedOf(run: Run, split: "sft" | "wrpo", pick: PickKeys) {
  const selected = (await run.ledger.selections.list(split))
    .filter((selection) => selection.leftOut === undefined)
    .map((selection) => ({ promptId: selection.promptId, keys: pick(selection) }));
  const selections = selected.filter(isWhole);
  const lacking = selected.length - selections.length;
  return { selections, lacking, digest: contentKey(selections.map(({ promptId, keys }) => [promptId, keys])) };
}

/** The digest of the rows that a selection gives. */
export const rowsDigest = async (run: Run, split: "sft" | "wrpo", pick: PickKeys): Promise<string> =>
  (await pickedOf(run, split, pick)).digest;

/** The texts that a selection names, as rows. */
export async function rowsOf(run: Run, split: "sft" | "wrpo", pick: PickKeys): Promise<SelectedRows> {
  const { selections, ...picked } = await pickedOf(run, split, pick);
  const texts = await run.ledger.responses.texts(
    selections.flatMap(({ promptId, keys }) => keys.map((key) => ({ promptId, key }))),
  );
  const prompts = new Map((await run.ledger.prompts.list([split])).map((prompt) => [prompt.id, prompt]));
  const rows = selections.map(({ promptId, keys }) => ({
    id: promptId,
    messages: prompts.get(promptId)!.messages,
    responses: keys.map((key) => texts.get(key)!),
  }));
  return { rows, ...picked };
}

interface Picked<Key> {
  readonly promptId: string;
  readonly keys: readonly Key[];
}

const isWhole = (picked: Picked<string | undefined>): picked is Picked<string> =>
  picked.keys.every((key) => key !== undefined);

/**
 * The responses of a selection that an objective uses, in its order; undefined for what the selection lacks. In a pair without a
 * response of the target, that of a source is the preferred one.
 */
export function keysOf(selection: StoredSelection, { roles }: Objective): (string | undefined)[] {
  const byRole: Record<Role, readonly (string | undefined)[]> = {
    source_chosen: [selection.sourceChosen, ...(selection.furtherSources ?? [])],
    target_chosen: [selection.targetChosen ?? selection.sourceChosen],
    rejected: [selection.rejected],
    source_rejected: [selection.sourceRejected],
  };
  return roles.map((role, index) => byRole[role][index - roles.indexOf(role)]);
}

/**
 * What was done with rows that did not fit, for the report: left out, the prompt's beginning taken away, responses cut, refused
 * by the chat template.
 */
export const unfitCounts = ({
  dropped,
  shortened,
  cut,
  refused,
}: Omit<TokenisedRows, "rows">): Record<string, number> => ({
  dropped: dropped.length,
  ...(shortened.length > 0 ? { shortened: shortened.length } : {}),
  ...(cut.length > 0 ? { cut: cut.length } : {}),
  ...(refused.length > 0 ? { refused: refused.length } : {}),
});

/** The rows that fit, as tokens; what does not is told. @throws TrainingError where none does */
export function fittingRows(
  run: Run,
  what: string,
  texts: readonly TextRow[],
  files: ModelFiles,
  limits: LengthLimits,
): TokenisedRows {
  const tokenised = tokeniseRows(texts, files.tokenizer, limits);
  const { dropped, shortened, cut, refused } = tokenised;
  const some = (ids: readonly string[]) => `${ids.slice(0, 5).join(", ")}${ids.length > 5 ? ", ..." : ""}`;
  if (dropped.length > 0)
    run.listener.notice(
      `${what}: ${dropped.length} rows are longer than max_length (${limits.max_length}) or max_prompt_length (${limits.max_prompt_length}) and were left out: ${some(dropped)}`,
    );
  if (refused.length > 0)
    run.listener.notice(
      `${what}: ${refused.length} rows were left out (${refused[0]!.reason}): ${some(refused.map(({ id }) => id))}`,
    );
  if (tokenised.rows.length === 0 && refused.length === texts.length)
    throw new TrainingError(`${what}: ${refused[0]!.reason}`, {
      hint: "So it is with every row: give the target another chat_template, or prompts that it takes.",
    });
  if (tokenised.rows.length === 0)
    throw new TrainingError(`${what}: no row fits into ${limits.max_length} tokens`, {
      hint: "Raise max_length and max_prompt_length of this training, or lower sampling.max_tokens.",
    });
  if (shortened.length > 0) run.listener.notice(`${what}: ${shortened.length} prompts lost their beginning to fit`);
  if (cut.length > 0)
    run.listener.notice(
      `${what}: the reference code's tokenisation cut the responses of ${cut.length} prompts to ${limits.max_length - limits.max_prompt_length} tokens: ${some(cut)}`,
    );
  return tokenised;
}
