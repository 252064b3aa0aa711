import { stat } from "node:fs/promises";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { DataError, type JsonLine, readJsonLines } from "../schema/index.ts";

/**
 * The rows of a data file, one by one: of a JSONL file (`.jsonl`, `.ndjson`, `.json` with a row a line) or a Parquet file
 * (`.parquet`; a group of rows is in memory at a time). NaN and infinities, which
 * Python writes into JSON and JSON doesn't have, are read as null. `line` counts lines, or rows of a Parquet file, from 1.
 *
 * @throws DataError where the file can't be read or breaks its format.
 */
export async function* readDataFile(file: string): AsyncGenerator<JsonLine> {
  if (/\.parquet$/i.test(file)) yield* readParquet(file);
  else if (/\.(jsonl|ndjson|json)$/i.test(file)) yield* readJsonLines(file, undefined, parsePython);
  else
    throw new DataError("neither a .jsonl nor a .parquet file", {
      file,
      hint: "Data are read from JSONL (.jsonl, .ndjson, .json with a row a line) and Parquet (.parquet) files.",
    });
}

function parsePython(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const noNumbers = /"(?:[^"\\]|\\.)*"|\bNaN\b|-?\bInfinity\b/g;
    const mended = text.replace(noNumbers, (found) => (found.startsWith('"') ? found : "null"));
    if (mended === text) throw error;
    return JSON.parse(mended);
  }
}

async function* readParquet(file: string): AsyncGenerator<JsonLine> {
  const { buffer, metadata } = await opened(file);
  let line = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = line + Number(num_rows);
    const rows = await decoded(file, () =>
      parquetReadObjects({ file: buffer, metadata, compressors, rowStart: line, rowEnd }),
    );
    for (const value of rows) {
      line += 1;
      yield { line, value };
    }
  }
}

async function opened(file: string) {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true)
    throw new DataError(found === undefined ? "there is no such file" : "is no file", {
      file,
      hint: "Check the path of the data.",
    });
  return decoded(file, async () => {
    const buffer = await asyncBufferFromFile(file);
    return { buffer, metadata: await parquetMetadataAsync(buffer) };
  });
}

async function decoded<Result>(file: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    throw new DataError(`the Parquet file can't be read: ${(cause as Error).message}`, {
      file,
      cause,
      hint: "It is damaged or was cut off: write or fetch it again.",
    });
  }
}
