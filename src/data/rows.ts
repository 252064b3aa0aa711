import { statSync } from "node:fs";
import { DataError, type JsonLine, readJsonLines } from "../schema/index.ts";
import { readArrow } from "./arrow.ts";
import { readCsv } from "./csv.ts";
import { type DatasetPart, datasetFiles } from "./dataset-folder.ts";
import { isJsonArray, readJsonArray } from "./json-array.ts";
import { readParquet } from "./parquet.ts";

/** A row with the file that it stands in. */
export interface DataLine extends JsonLine {
  readonly file: string;
}

/** Takes the error of a row that can't be read, which is then passed over; without it, it is thrown. */
export type SkipRow = (bad: DataError) => void;

/**
 * The rows of a file, or of a split of a data set's folder, one by one: JSONL (`.jsonl`, `.ndjson`, `.json` with a row a line), a list of
 * JSON (`.json`), Parquet, CSV and TSV (the first line names the fields), Arrow. NaN and infinities, which Python writes into JSON and JSON doesn't
 * have, are read as null. `line` counts lines, or rows of a Parquet or Arrow file, from 1.
 *
 * @throws DataError where a file can't be read or breaks its format, or the folder has no such split. A line of JSONL that is
 * no JSON goes to `skip`, where there is one.
 */
export async function* readRows(path: string, part: DatasetPart = {}, skip?: SkipRow): AsyncGenerator<DataLine> {
  for (const file of filesOf(path, part))
    for await (const { line, value } of readDataFile(file, skip)) yield { file, line, value };
}

/** The file, or the files of a split of the folder, in order. Throws DataError where the folder has no such split. */
export const filesOf = (path: string, part: DatasetPart = {}): string[] =>
  isFolder(path) ? datasetFiles(path, part) : [path];

/**
 * The files of several paths, each a file or a data set's folder, of which `split` is taken.
 *
 * @throws DataError where a folder has no such split, and where a split is named and none of the paths is a folder.
 */
export function filesOfAll(paths: readonly string[], part: DatasetPart = {}): string[] {
  const [first] = paths;
  if (part.split !== undefined && first !== undefined && !paths.some(isFolder))
    throw new DataError(`a file has no splits, and ${part.split} was asked for`, {
      file: first,
      hint: "Name the folder of the data set, or leave the split away.",
    });
  return paths.flatMap((path) => filesOf(path, part));
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** What a place in a file is called: Parquet and Arrow files have no lines. */
export const placeWord = (file: string): "row" | "line" => (/\.(parquet|arrow)$/i.test(file) ? "row" : "line");

/** What is read as JSONL. */
export const jsonLinesFile = /\.(jsonl|ndjson|json)$/i;

const readers: readonly (readonly [ends: RegExp, read: (file: string, skip?: SkipRow) => AsyncGenerator<JsonLine>])[] =
  [
    [/\.parquet$/i, readParquet],
    [/\.arrow$/i, readArrow],
    [/\.(csv|tsv)$/i, readCsv],
    [/\.json$/i, readJson],
    [jsonLinesFile, (file, skip) => readJsonLines(file, parsePython, skip)],
  ];

async function* readJson(file: string, skip?: SkipRow): AsyncGenerator<JsonLine> {
  yield* (await isJsonArray(file)) ? readJsonArray(file, parsePython, skip) : readJsonLines(file, parsePython, skip);
}

/** The rows of one file: see `readRows`. */
export async function* readDataFile(file: string, skip?: SkipRow): AsyncGenerator<JsonLine> {
  const reader = readers.find(([ends]) => ends.test(file));
  if (reader === undefined && statSync(file, { throwIfNoEntry: false }) === undefined)
    throw new DataError("there is no such file or folder", { file, hint: "Check the path." });
  if (reader === undefined)
    throw new DataError("a file of a kind that is not read", {
      file,
      hint: "Data are read from JSONL (.jsonl, .ndjson, .json with a row a line), a JSON list (.json), Parquet (.parquet), CSV (.csv, .tsv) and Arrow (.arrow) files.",
    });
  yield* reader[1](file, skip);
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
