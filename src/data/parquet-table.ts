import { closeSync, fsyncSync, openSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { type FileMetaData, parquetReadObjects } from "hyparquet";
import { fileWriter, ParquetWriter } from "hyparquet-writer";
import { DataError } from "../schema/index.ts";
import { decodedParquet, openedParquet } from "./parquet.ts";
import { columnElements, fileElements, isCell, type ParquetColumn, typeWords } from "./parquet-columns.ts";

export type TableRow = Readonly<Record<string, unknown>>;

export interface TableWriter {
  /** Takes rows; each group of them is written when it is whole. Throws DataError for a cell that its column can't hold. */
  add(rows: readonly TableRow[]): void;
  /** Writes what is left and waits until all is on the disk. */
  finish(): void;
}

/** A group of rows is in memory at a time, for writers and readers. */
const group = { rows: 65_536, characters: 16 * 2 ** 20 } as const;
const codec = "GZIP";

/** Writes a Parquet file of these columns, row group by row group. Throws the system's error where the disk refuses. */
export function writeTable(file: string, columns: readonly ParquetColumn[]): TableWriter {
  const writer = new ParquetWriter({
    writer: fileWriter(file),
    schema: fileElements(columns),
    codec,
    compressors: { GZIP: (bytes) => gzipSync(bytes) },
    createdBy: "amalgam",
  });
  let cells: unknown[][] = columns.map(() => []);
  let characters = 0;
  let written = 0;
  const flush = () => {
    const rows = cells[0]?.length ?? 0;
    if (rows === 0) return;
    void writer.write({
      columnData: columns.map(({ name }, at) => ({ name, data: cells[at]! })),
      rowGroupSize: rows,
    });
    written += rows;
    cells = columns.map(() => []);
    characters = 0;
  };
  return {
    add(rows) {
      for (const row of rows) {
        for (const [at, column] of columns.entries()) {
          const cell = row[column.name] ?? null;
          if (!isCell(column, cell)) throw wrongCell(file, column, written + cells[at]!.length + 1);
          cells[at]!.push(cell);
          characters += sizeOf(cell);
        }
        if (cells[0]!.length >= group.rows || characters >= group.characters) flush();
      }
    },
    finish() {
      flush();
      void writer.finish();
      const descriptor = openSync(file, "r+");
      fsyncSync(descriptor);
      closeSync(descriptor);
    },
  };
}

/** About how many characters a cell takes. */
function sizeOf(cell: unknown): number {
  if (typeof cell === "string") return cell.length;
  if (Array.isArray(cell)) return cell.reduce((sum: number, item) => sum + sizeOf(item), 8);
  if (cell !== null && typeof cell === "object" && !(cell instanceof Date)) return sizeOf(Object.values(cell));
  return 8;
}

/**
 * The rows of a Parquet file that has these columns, a row group at a time.
 *
 * @throws DataError naming file, column and row where the file can't be read, lacks a column, has one of another type or one too
 * many, or a cell is not what its column holds.
 */
export async function* readTable(file: string, columns: readonly ParquetColumn[]): AsyncGenerator<readonly TableRow[]> {
  const { buffer, metadata } = await openedParquet(file);
  requireColumns(file, columns, metadata);
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    const rows = await decodedParquet(file, () =>
      parquetReadObjects({ file: buffer, metadata, compressors: { GZIP: gunzip }, rowStart, rowEnd }),
    );
    for (const [at, row] of rows.entries()) {
      const wrong = columns.find((column) => !isCell(column, row[column.name]));
      if (wrong !== undefined) throw wrongCell(file, wrong, rowStart + at + 1);
    }
    yield rows;
    rowStart = rowEnd;
  }
}

const gunzip = (bytes: Uint8Array): Uint8Array => gunzipSync(bytes);

function wrongCell(file: string, column: ParquetColumn, row: number): DataError {
  return new DataError(`the cell is not what its column holds (${typeWords(column)})`, {
    file,
    line: row,
    field: column.name,
  });
}

function requireColumns(file: string, columns: readonly ParquetColumn[], { schema }: FileMetaData): void {
  const found = topLevel(schema);
  for (const column of columns) {
    const elements = found.get(column.name);
    if (elements === undefined)
      throw new DataError("the file lacks this column", { file, field: column.name, hint: rewritten });
    found.delete(column.name);
    if (shape(elements) !== shape(columnElements(column)))
      throw new DataError(`the column has another type than ${typeWords(column)}`, {
        file,
        field: column.name,
        hint: rewritten,
      });
  }
  const [unknown] = found.keys();
  if (unknown !== undefined)
    throw new DataError("the file has a column that is not known", { file, field: unknown, hint: rewritten });
}

const rewritten = "Take the file as it was exported: one that another program wrote anew is not read.";

type Elements = FileMetaData["schema"];

/** The elements of each column, by its name. */
function topLevel([, ...elements]: Elements): Map<string, Elements> {
  const found = new Map<string, Elements>();
  while (elements.length > 0) {
    const { name } = elements[0]!;
    let open = 1;
    const own: Elements = [];
    while (open > 0 && elements.length > 0) {
      const element = elements.shift()!;
      own.push(element);
      open += (element.num_children ?? 0) - 1;
    }
    found.set(name, own);
  }
  return found;
}

const shape = (elements: Elements): string =>
  JSON.stringify(
    elements.map(({ name, type, converted_type, repetition_type }) => [name, type, converted_type, repetition_type]),
  );
