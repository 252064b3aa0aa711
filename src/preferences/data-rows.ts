import { basename } from "node:path";
import { isTable, readDataFile } from "../data/index.ts";
import { DataError, type Place, type Turn } from "../schema/index.ts";
import type { Example, TextRole } from "./data-examples.ts";
import { type DataFormat, dataFormats } from "./data-formats.ts";
import { type Fields, has, isFields, toolsOf } from "./data-turns.ts";

/** What an objective wants of a row: its texts, in this order. */
export interface WantedTexts {
  /** The objective's name, for errors. */
  readonly objective: string;
  /** A role stands as often as a row has to have texts of it. */
  readonly roles: readonly TextRole[];
  /** Whether each answer counts by itself, as a good or a bad one: then a row may have one of the two only, and says by a label which. */
  readonly unpaired?: boolean;
}

/** What an answer by itself is: a good one, or a bad one. */
export type LabelledRole = "target_chosen" | "rejected";

/** A prompt with the texts that an objective compares, and where it stands. */
export interface DataRow {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly messages: readonly Turn[];
  readonly tools?: readonly unknown[];
  /** In the order of the wanted roles. */
  readonly responses: readonly string[];
  /** What the response is, where the row has not all of the wanted roles. */
  readonly roles?: readonly LabelledRole[];
  /** Why nothing can be learnt from it although its form is right. */
  readonly fault?: string;
}

export const dataFaults = {
  empty: "a response is empty",
  same: "the chosen and the rejected response are the same",
  surrogate: "a text holds half a surrogate pair, which is no character",
  score: "a score is no number",
} as const;

/**
 * The rows of data files, one by one, each as the objective wants it; `told` hears once for each file how it is read.
 * A file's format is recognised by the fields of its first row and holds for all of it. A row from which nothing can be
 * learnt although its form is right comes with its `fault`.
 *
 * @throws DataError with file, line and field: a file that can't be read, a format that is not known, a row that breaks
 * it, or one that has not what the objective compares.
 */
export async function* readDataRows(
  files: readonly string[],
  wanted: WantedTexts,
  told: (file: string, words: string) => void = () => {},
): AsyncGenerator<DataRow> {
  for (const file of files) {
    let format: DataFormat | undefined;
    for await (const { line, value } of readDataFile(file)) {
      const place = { file, line };
      if (!isFields(value))
        throw new DataError("the row is no map of fields", {
          ...place,
          hint: Array.isArray(value) ? listHint : formatsHint,
        });
      if (format === undefined) {
        format = formatOf(value, place);
        told(file, format.words);
      }
      if (!format.matches(value)) throw otherFormat(format, value, place);
      yield* rowsOf(format.examples(value, place), value, place, wanted);
    }
    if (format === undefined) throw new DataError("the file has no rows", { file, hint: formatsHint });
  }
}

const fieldNames = (row: Fields) =>
  Object.keys(row)
    .map((name) => (has(row, name) ? name : `${name}: null`))
    .join(", ") || "no fields";

export const listHint =
  "A line is one row: `jq -c '.[]' FILE` writes the rows of a list so. A whole file that is one list is read where its name ends in .json.";
export const formatsHint =
  "A row is one of: {prompt, chosen, rejected}, texts or messages; {chosen, rejected}, conversations or transcripts with the same beginning; {prompt, completion}; {prompt, completion, label}; {messages}; ShareGPT's {conversations}; Alpaca's {instruction, input, output}; {prompt_id, prompt, chosen: [y_ws, y_wt], rejected: [y_l]}; UltraFeedback's {instruction, completions}.";

export function formatOf(row: Fields, place: Place): DataFormat {
  const found = dataFormats.find((format) => format.matches(row));
  if (found !== undefined) return found;
  throw new DataError(`the fields (${fieldNames(row)}) are of no format that is known${nearlyWords(row)}`, {
    ...place,
    hint: formatsHint,
  });
}

/** What these fields lack of the format that they come nearest to, where they have as much of it as they lack. */
function nearlyWords(row: Fields): string {
  const nearly = dataFormats
    .map(({ needs }) => ({ needs, lacking: needs.filter((name) => !has(row, name)) }))
    .filter(({ needs, lacking }) => lacking.length > 0 && lacking.length * 2 <= needs.length)
    .sort((a, b) => a.lacking.length - b.lacking.length || b.needs.length - a.needs.length)[0];
  if (nearly === undefined) return "";
  return `: of {${nearly.needs.join(", ")}} there is no ${nearly.lacking.join(" and no ")}`;
}

/** Throws the error of `formatOf` for a table whose columns are of no format, so that it is told once and not of each row. */
export function requireFormat(file: string, row: Fields): void {
  if (!isTable(file) || dataFormats.some(({ needs }) => needs.every((name) => name in row))) return;
  formatOf(row, { file });
}

/**
 * How many responses of sources each row of these files has, by the first row that has some: 1 where none has. The format says it:
 * of the interchange format's `chosen` all but the last.
 */
export async function sourceResponsesOf(files: readonly string[]): Promise<number> {
  for (const file of files)
    for await (const { value, line } of readDataFile(file)) {
      const row = isFields(value) ? value : {};
      const [example] = dataFormats.find((format) => format.matches(row))?.examples(row, { file, line }) ?? [];
      if (example?.texts.source_chosen !== undefined) return example.texts.source_chosen.length;
      break;
    }
  return 1;
}

export function otherFormat({ needs, words }: DataFormat, row: Fields, place: Place): DataError {
  const lacking = needs.filter((name) => !has(row, name));
  const message =
    lacking.length > 0 ? `the row has no ${lacking.join(" and no ")}` : "the row is not of the file's format";
  return new DataError(message, {
    ...place,
    hint: `The first row's format holds for the whole file: ${words}. Rows of another one go into a file of their own.`,
  });
}

function* rowsOf(
  examples: readonly Example[],
  row: Fields,
  place: { readonly file: string; readonly line: number },
  wanted: WantedTexts,
): Generator<DataRow> {
  const id = rowName(row, place);
  const tools = toolsOf(row, place);
  for (const [index, example] of examples.entries()) {
    const roles = rolesOf(example, place, wanted);
    const responses = responsesOf(example, place, { ...wanted, roles });
    const fault = example.fault ?? faultOf(row, place.file, example, responses, roles);
    yield {
      id: examples.length > 1 ? `${id}#${index + 1}` : id,
      ...place,
      messages: example.messages,
      ...(tools === undefined ? {} : { tools }),
      responses,
      ...(example.label === undefined ? {} : { roles: roles as readonly LabelledRole[] }),
      ...(fault === undefined ? {} : { fault }),
    };
  }
}

/** What a row is called: its `prompt_id` or `id`, else where it stands. */
export function rowName(row: Fields, { file, line }: { readonly file: string; readonly line: number }): string {
  const name = ["prompt_id", "id"].map((field) => row[field]).find((id) => isName(id));
  return name === undefined ? `${basename(file)}:${line}` : String(name);
}

const isName = (id: unknown) =>
  (typeof id === "string" && id !== "") || typeof id === "number" || typeof id === "bigint";

const roleWords: Readonly<Record<TextRole, string>> = {
  source_chosen: "y_ws, the first of `chosen` of the interchange format",
  target_chosen: "`chosen`",
  rejected: "`rejected`",
  source_rejected: "y_ls, the second of `rejected` of the interchange format",
  completion: "`completion`, `messages` or `chosen`",
};

/** The wanted roles that the row is to have: all of them, but the one or the other where a label says which. */
function rolesOf(
  { label, texts }: Example,
  place: Place,
  { objective, roles, unpaired }: WantedTexts,
): readonly TextRole[] {
  if (label !== undefined) {
    if (unpaired === true) return [label ? "target_chosen" : "rejected"];
    throw lacking(
      { objective, roles },
      "the row has a label",
      "Answers that are marked good or bad are for kto and bco. To learn the good ones by sft, write them without `label`.",
      place,
    );
  }
  if (unpaired === true && texts.completion !== undefined)
    throw lacking({ objective, roles }, "the row has no label", "Write `label`: true or false.", place);
  return roles;
}

const lacking = ({ objective, roles }: WantedTexts, what: string, hint: string, place: Place) =>
  new DataError(`${objective} needs ${[...new Set(roles)].map((role) => roleWords[role]).join(", ")}: ${what}`, {
    ...place,
    hint,
  });

function responsesOf({ texts, label }: Example, place: Place, wanted: WantedTexts): string[] {
  const { roles } = wanted;
  const sources = roles.filter((role) => role === "source_chosen").length;
  const given = texts.source_chosen?.length ?? 0;
  if (sources > 0 && given > 0 && sources !== given)
    throw new DataError(`the row has ${given} responses of sources, and the first one has ${sources}`, {
      ...place,
      field: "chosen",
      hint: "All rows have as many: of `chosen` the last response is the target's, those before it are of sources.",
    });
  return roles.map((role, index) => {
    // What is good enough to be preferred is good enough to be learnt; of a quadruple, the best (paper, section 4.1).
    const alone = role === "completion" ? (texts.completion ?? texts.source_chosen ?? texts.target_chosen) : undefined;
    const text = (alone ?? (label === undefined ? texts[role] : texts.completion))?.[index - roles.indexOf(role)];
    if (text !== undefined) return text;
    const single =
      texts.completion === undefined ? "" : " Single answers are learnt by sft, those with a label by kto and bco.";
    throw lacking(
      wanted,
      `the row has no ${roleWords[role]}`,
      `Take an objective that fits the data, or data that fit it.${single}`,
      place,
    );
  });
}

function faultOf(
  row: Fields,
  file: string,
  { messages }: Example,
  responses: readonly string[],
  roles: readonly TextRole[],
) {
  if (responses.some((text) => text.trim() === "")) return dataFaults.empty;
  const texts = [...messages.map(({ content }) => content), ...responses];
  if (!texts.every((text) => text.isWellFormed())) return dataFaults.surrogate;
  if (scoreColumns(row, file).some((name) => !isFiniteNumber(row[name]))) return dataFaults.score;
  const chosen = responses.filter((_, index) => !roles[index]!.endsWith("rejected"));
  const rejected = responses.filter((_, index) => roles[index]!.endsWith("rejected"));
  if (chosen.length > 0 && rejected.length > 0 && new Set([...chosen, ...rejected]).size === 1) return dataFaults.same;
  return undefined;
}

/** The scores that a row has. Tables have null for both where it has none; in JSON null is what NaN became. */
export function scoreColumns(row: Fields, file: string): ("score_chosen" | "score_rejected")[] {
  const there = (["score_chosen", "score_rejected"] as const).filter((name) => row[name] !== undefined);
  return isTable(file) && there.every((name) => row[name] === null) ? [] : there;
}

const isFiniteNumber = (value: unknown): boolean =>
  typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value));
