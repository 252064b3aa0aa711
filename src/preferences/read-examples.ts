import { readDataFile } from "../data/index.ts";
import { DataError } from "../schema/index.ts";
import type { Example } from "./data-examples.ts";
import type { DataFormat } from "./data-formats.ts";
import { rankedOf } from "./data-ranked.ts";
import { formatOf, formatsHint, listHint, otherFormat, rowName } from "./data-rows.ts";
import { type Fields, isFields } from "./data-turns.ts";

/** A row of a data file of any format, as what it says: its prompts with all of their answers. */
export interface PlacedExamples {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  /** How the file is read, in words. */
  readonly format: string;
  readonly domain?: string;
  readonly examples: readonly Example[];
  /** The rewards of the chosen and the rejected answer, as the row has them; NaN for what is no number. */
  readonly scores: { readonly chosen?: number; readonly rejected?: number };
}

/** Rows of no known format at the beginning of a file, after which no others are looked at. */
const mostUnknown = 1000;

/**
 * The rows of a data file, whatever its format: that of its first row that is of one. A row that breaks it goes to `bad`.
 *
 * @throws DataError where the file can't be read, or its first 1,000 rows are of no format.
 */
export async function* readExamples(file: string, bad: (error: DataError) => void): AsyncGenerator<PlacedExamples> {
  let format: DataFormat | undefined;
  let unknown = 0;
  let rows = 0;
  for await (const { line, value } of readDataFile(file, bad)) {
    rows += 1;
    const place = { file, line };
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
      yield {
        id: rowName(value, place),
        ...place,
        format: format.words,
        ...domainOf(value),
        examples:
          ranked === undefined
            ? examples
            : examples.map((example) => ({ ...example, ranked: example.ranked ?? ranked })),
        scores: { ...scoreOf(value, "chosen"), ...scoreOf(value, "rejected") },
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
  if (rows === 0) throw new DataError("the file has no rows", { file, hint: formatsHint });
}

/** A row's `domain`; UltraFeedback calls it `source`. */
function domainOf({ domain, source, completions }: Fields): { readonly domain?: string } {
  const found = domain ?? (completions === undefined ? undefined : source);
  return typeof found === "string" && found !== "" ? { domain: found } : {};
}

function scoreOf(row: Fields, side: "chosen" | "rejected"): PlacedExamples["scores"] {
  const value = row[`score_${side}`];
  if (value === undefined) return {};
  return { [side]: typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : Number.NaN };
}
