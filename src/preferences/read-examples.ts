import { filesOfAll, readDataFile } from "../data/index.ts";
import { DataError } from "../schema/index.ts";
import type { Example } from "./data-examples.ts";
import type { DataFormat } from "./data-formats.ts";
import { rankedOf } from "./data-ranked.ts";
import { formatOf, formatsHint, listHint, otherFormat, requireFormat, rowName, scoreColumns } from "./data-rows.ts";
import { isAnswer } from "./data-sharegpt.ts";
import { type Fields, has, isFields, toolsOf } from "./data-turns.ts";

/** A row of a data file of any format, as what it says: its prompts with all of their answers. */
export interface PlacedExamples {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  /** How the file is read, in words. */
  readonly format: string;
  readonly domain?: string;
  readonly examples: readonly Example[];
  /** Tools that the template may offer. */
  readonly tools?: readonly unknown[];
  /** Columns of the row that say something, and are passed over. */
  readonly unread: readonly string[];
  /** Whether turns of a conversation come after its last answer: they belong to no example. */
  readonly unanswered: boolean;
  /** The rewards of the chosen and the rejected answer, as the row has them; NaN for what is no number. */
  readonly scores: { readonly chosen?: number; readonly rejected?: number };
}

/** Rows of no known format at the beginning of a file, after which no others are looked at. */
const mostUnknown = 1000;

/**
 * The rows of a data file, or of a split of a data set's folder, whatever its format: that of each file's first row that is of one. A row
 * that breaks it goes to `bad`.
 *
 * @throws DataError where the folder has no such split, a file can't be read, or its first 1,000 rows are of no format.
 */
export async function* readExamples(
  path: string,
  bad: (error: DataError) => void,
  split?: string,
): AsyncGenerator<PlacedExamples> {
  let read = 0;
  for (const file of filesOfAll([path], { split })) read += yield* examplesOf(file, bad);
  if (read === 0) throw new DataError("there are no rows in it", { file: path, hint: formatsHint });
}

/** Those of one file; gives the number of its rows, the bad ones among them. */
async function* examplesOf(file: string, bad: (error: DataError) => void): AsyncGenerator<PlacedExamples, number> {
  let format: DataFormat | undefined;
  let unknown = 0;
  let rows = 0;
  for await (const { line, value } of readDataFile(file, bad)) {
    rows += 1;
    const place = { file, line };
    if (rows === 1 && isFields(value)) requireFormat(file, value);
    try {
      if (!isFields(value))
        throw new DataError("the row is no map of fields", {
          ...place,
          hint: Array.isArray(value) ? listHint : formatsHint,
        });
      format ??= formatOf(value, place);
      if (!format.matches(value)) throw otherFormat(format, value, place);
      const ranked = rankedOf(value, place);
      const examples = format.examples(value, place);
      const tools = toolsOf(value, place);
      yield {
        id: rowName(value, place),
        ...place,
        format: format.words,
        ...domainOf(value),
        ...(tools === undefined ? {} : { tools }),
        unread: unreadOf(value, format),
        unanswered: isUnanswered(value, format),
        examples:
          ranked === undefined
            ? examples
            : examples.map((example) => ({ ...example, ranked: example.ranked ?? ranked })),
        scores: scoresOf(value, file),
      };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      bad(error);
      if (format === undefined) unknown += 1;
      if (unknown === mostUnknown)
        throw new DataError(`none of the first ${mostUnknown} rows is of a format that is known`, {
          file,
          hint: formatsHint,
        });
    }
  }
  return rows;
}

/** A row's `domain`; FuseChat-3.0 calls it `dataset`, UltraFeedback `source`. */
function domainOf({ domain, dataset, source, completions }: Fields): { readonly domain?: string } {
  const found = domain ?? dataset ?? (completions === undefined ? undefined : source);
  return typeof found === "string" && found !== "" ? { domain: found } : {};
}

function scoresOf(row: Fields, file: string): PlacedExamples["scores"] {
  const number = (value: unknown) =>
    typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : Number.NaN;
  return Object.fromEntries(scoreColumns(row, file).map((name) => [name.slice("score_".length), number(row[name])]));
}

function isUnanswered(row: Fields, { needs }: DataFormat): boolean {
  const turns = needs.includes("messages")
    ? row.messages
    : needs.includes("conversations")
      ? row.conversations
      : undefined;
  const last: unknown = Array.isArray(turns) ? turns.at(-1) : undefined;
  return isFields(last) && !isAnswer(last);
}

/** Columns that are read whatever the format, where they stand. */
const alwaysRead = ["prompt_id", "id", "tools", "score_chosen", "score_rejected"];
/** What formats with these columns read besides, or what repeats there what others say (`messages` of UltraFeedback-binarized). */
const readWith: Readonly<Record<string, readonly string[]>> = {
  instruction: ["input", "system", "history"],
  conversations: ["system"],
  y_ws: ["y_ls"],
  messages: ["prompt"],
  chosen: ["prompt", "messages", "all_generated_responses", "all_rm_scores"],
};
/** What is read of a completion of UltraFeedback. */
const readOfCompletions = ["response", "model", "overall_score"];

function unreadOf(row: Fields, { needs }: DataFormat): string[] {
  const domain = domainOf(row).domain;
  const read = new Set([...needs, ...alwaysRead, ...needs.flatMap((name) => readWith[name] ?? [])]);
  const unread = Object.keys(row).filter((name) => has(row, name) && !read.has(name) && row[name] !== domain);
  if (!needs.includes("completions") || !Array.isArray(row.completions)) return unread;
  const inner = row.completions.flatMap((one: unknown) => (isFields(one) ? Object.keys(one) : []));
  return [
    ...unread,
    ...new Set(inner.filter((name) => !readOfCompletions.includes(name)).map((name) => `completions.${name}`)),
  ];
}
