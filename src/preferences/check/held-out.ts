import { readRows } from "../../data/index.ts";
import { DataError } from "../../schema/index.ts";
import { knownRuns } from "../contamination.ts";
import { type Fields, has, isFields, turnsOf } from "../data-turns.ts";

/** Fields that hold what an evaluation set asks, the first that a row has. */
const questionFields = ["messages", "prompt", "question", "instruction", "turns", "conversations", "input", "text"];

/** Finds texts that share words with evaluation sets. */
export interface HeldOutSets {
  /** The row (`file:line`) of an evaluation set that a text shares a run of words with. */
  leak(text: string): { readonly with: string; readonly overlap: number } | undefined;
}

/**
 * Reads evaluation sets; their runs of `ngram` words stay in memory. What is asked stands in `messages`, `prompt`, `question`,
 * `instruction`, `turns`, `conversations`, `input` or `text`, as texts or messages; answers are passed over.
 *
 * @throws DataError where a file can't be read or a row has none of these fields
 */
export async function readHeldOut(files: readonly string[], ngram: number): Promise<HeldOutSets> {
  const known = knownRuns(ngram);
  const places: string[] = [];
  for (const path of files)
    for await (const { file, line, value } of readRows(path)) {
      for (const text of questionsOf(value, { file, line })) {
        known.add(text);
        places.push(`${file}:${line}`);
      }
    }
  return {
    leak(text) {
      const found = known.find(text);
      return found === undefined ? undefined : { with: places[found.with]!, overlap: found.overlap };
    },
  };
}

function questionsOf(row: unknown, place: { readonly file: string; readonly line: number }): string[] {
  const fields: Fields = isFields(row) ? row : {};
  const field = questionFields.find((name) => has(fields, name));
  if (field === undefined)
    throw new DataError(`the row has none of the fields ${questionFields.join(", ")}`, {
      ...place,
      hint: "What an evaluation set asks stands in one of them.",
    });
  const value = fields[field];
  if (typeof value === "string") return [value];
  if (Array.isArray(value) && value.every((text) => typeof text === "string")) return value;
  return turnsOf(value, field, place)
    .filter(({ role }) => role !== "assistant" && role !== "system")
    .map(({ content }) => content);
}
