import { stat } from "node:fs/promises";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { DataError, type JsonLine } from "../schema/index.ts";

/** The rows of a Parquet file; a group of them is in memory at a time. */
export async function* readParquet(file: string): AsyncGenerator<JsonLine> {
  const { buffer, metadata } = await openedParquet(file);
  let line = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = line + Number(num_rows);
    const rows = await decodedParquet(file, () =>
      parquetReadObjects({ file: buffer, metadata, compressors, rowStart: line, rowEnd }),
    );
    for (const value of rows) {
      line += 1;
      yield { line, value };
    }
  }
}

/** A Parquet file with its metadata. Throws DataError where it can't be read. */
export async function openedParquet(file: string) {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true)
    throw new DataError(found === undefined ? "there is no such file" : "is no file", {
      file,
      hint: "Check the path of the data.",
    });
  return decodedParquet(file, async () => {
    const buffer = await asyncBufferFromFile(file);
    return { buffer, metadata: await parquetMetadataAsync(buffer) };
  });
}

/** Does `work` on a Parquet file; what it throws says that the file is damaged. */
export async function decodedParquet<Result>(file: string, work: () => Promise<Result>): Promise<Result> {
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
