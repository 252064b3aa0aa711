import { createReadStream } from "node:fs";
import { type Options, parse } from "csv-parse";
import { DataError, type JsonLine } from "../schema/index.ts";

/**
 * The rows of a CSV file (RFC 4180), or of a TSV file, as maps of the fields that its first line names; all values are
 * texts, and an empty one that is not quoted is null.
 */
export async function* readCsv(file: string): AsyncGenerator<JsonLine> {
  const rows = records<unknown>(file, "Its first line names the fields, every other has as many; a field", {
    columns: true,
    delimiter: /\.tsv$/i.test(file) ? "\t" : ",",
    cast: (value, { quoting, header }) => (value === "" && !quoting && !header ? null : value),
  });
  for await (const { line, record } of rows) yield { line, value: record };
}

/** The records of a CSV file whose first line is no header, as lists of texts. Throws DataError as `readCsv`. */
export async function* readCsvRecords(file: string): AsyncGenerator<{ line: number; values: readonly string[] }> {
  const lists = records<string[]>(file, "Every record has as many fields; one", {});
  for await (const { line, record } of lists) yield { line, values: record };
}

async function* records<Kind>(
  file: string,
  form: string,
  options: Options,
): AsyncGenerator<{ line: number; record: Kind }> {
  const parser = parse({ bom: true, encoding: "utf8", info: true, skip_empty_lines: true, ...options });
  const input = createReadStream(file);
  input.on("error", (error) => parser.destroy(error));
  input.pipe(parser);
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: Kind; info: { lines: number } }>)
      yield { line: info.lines, record };
  } catch (cause) {
    const { lines } = cause as { lines?: number };
    throw new DataError(`the CSV file can't be read: ${(cause as Error).message}`, {
      file,
      ...(lines === undefined ? {} : { line: lines }),
      cause,
      hint: `${form} with a comma, a quote or a line break stands in quotes.`,
    });
  } finally {
    input.destroy();
  }
}
