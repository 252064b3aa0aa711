import type { ModelFiles } from "../models/index.ts";
import { contentKey, TrainingError } from "../schema/index.ts";
import type { StoredSelection } from "../store/index.ts";
import { type LengthLimits, type TextRow, type TokenisedRows, tokeniseRows } from "../training/index.ts";
import type { Run } from "./run.ts";

/** The texts that a selection names, as rows; `pick` gives the response keys in the objective's order. `lacking` selections have not all of them. */
export async function rowsOf(
  run: Run,
  split: "sft" | "wrpo",
  pick: (selection: StoredSelection) => readonly (string | undefined)[],
): Promise<{ rows: TextRow[]; lacking: number; digest: string }> {
  const selected = (await run.ledger.selections.list(split))
    .filter((selection) => selection.leftOut === undefined)
    .map((selection) => ({ promptId: selection.promptId, keys: pick(selection) }));
  const selections = selected.filter(isWhole);
  const lacking = selected.length - selections.length;
  const texts = await run.ledger.responses.texts(selections.flatMap(({ keys }) => keys));
  const prompts = new Map((await run.ledger.prompts.list([split])).map((prompt) => [prompt.id, prompt]));
  const rows = selections.map(({ promptId, keys }) => ({
    id: promptId,
    messages: prompts.get(promptId)!.messages,
    responses: keys.map((key) => texts.get(key)!),
  }));
  return { rows, lacking, digest: contentKey(selections.map(({ promptId, keys }) => [promptId, keys])) };
}

interface Picked<Key> {
  readonly promptId: string;
  readonly keys: readonly Key[];
}

const isWhole = (picked: Picked<string | undefined>): picked is Picked<string> =>
  picked.keys.every((key) => key !== undefined);

/** The rows as tokens; what did not fit is told. Throws TrainingError where none fits. */
export function fittingRows(
  run: Run,
  what: string,
  texts: readonly TextRow[],
  files: ModelFiles,
  limits: LengthLimits,
): TokenisedRows {
  const tokenised = tokeniseRows(texts, files.tokenizer, limits);
  const { dropped, shortened, cut } = tokenised;
  if (dropped.length > 0)
    run.listener.notice(
      `${what}: ${dropped.length} rows are longer than ${limits.max_length} tokens and were left out: ${dropped.slice(0, 5).join(", ")}${dropped.length > 5 ? ", ..." : ""}`,
    );
  if (tokenised.rows.length === 0)
    throw new TrainingError(`${what}: no row fits into ${limits.max_length} tokens`, {
      hint: "Raise max_length and max_prompt_length of this training, or lower sampling.max_tokens.",
    });
  if (shortened.length > 0) run.listener.notice(`${what}: ${shortened.length} prompts lost their beginning to fit`);
  if (cut.length > 0)
    run.listener.notice(
      `${what}: the reference code's tokenisation cut the responses of ${cut.length} prompts to ${limits.max_length - limits.max_prompt_length} tokens: ${cut.slice(0, 5).join(", ")}${cut.length > 5 ? ", ..." : ""}`,
    );
  return tokenised;
}
