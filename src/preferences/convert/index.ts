import { existsSync, renameSync, rmSync } from "node:fs";
import { isCell, type TableRow, writeTable } from "../../data/index.ts";
import { DataError, type Place, type RowFormName, type Turn } from "../../schema/index.ts";
import { type PlacedExamples, readExamples } from "../read-examples.ts";
import { writeRows } from "../write-rows.ts";
import { type RowForm, rowForms } from "./forms.ts";
import type { Lose } from "./item.ts";

export interface ConvertOptions {
  readonly to: RowFormName;
  /** Of a folder: its split. */
  readonly split?: string | undefined;
  /** Whether rows and fields that the form can't hold are left out, and counted; else the first of them is an error. */
  readonly lossy: boolean;
  /** Called with each row. Throws to end the conversion. */
  readonly progress: (rows: number) => void;
}

/** What was made of a file, in counts. */
export interface Converted {
  readonly read: number;
  readonly written: number;
  /** Rows, or examples of them, that are not in the new file, by what was in the way. */
  readonly leftOut: Readonly<Record<string, number>>;
  /** Rows of which something is not in the new file, by what it is. */
  readonly lost: Readonly<Record<string, number>>;
}

/**
 * Writes a data file, or a split of a data set's folder, of any form that is read, in another one: as JSONL (`.jsonl`) or Parquet
 * (`.parquet`), by the name of `output`. Rows are read and written one by one. The file is there whole or not at all.
 *
 * @throws DataError where the file can't be read, `output` is there already or of no kind that is written, and, unless
 * `lossy`, with file and line for the first row that the form can't hold all of. EnvironmentError where it can't be written.
 */
export async function convertData(path: string, output: string, options: ConvertOptions): Promise<Converted> {
  const parquet = /\.parquet$/i.test(output);
  if (!parquet && !/\.(jsonl|ndjson)$/i.test(output))
    throw new DataError("a file of a kind that is not written", {
      file: output,
      hint: "Name it .jsonl or .parquet.",
    });
  if (existsSync(output))
    throw new DataError("there is something of this name already", { file: output, hint: "Name a new file." });
  const counts = { read: 0, written: 0, leftOut: {}, lost: {} };
  const rows = convertedRows(path, parquet, options, counts);
  if (parquet) await writeParquet(output, rowForms[options.to], rows);
  else await writeRows(output, rows, (row) => row);
  return counts;
}

interface Counts {
  read: number;
  written: number;
  readonly leftOut: Record<string, number>;
  readonly lost: Record<string, number>;
}

async function* convertedRows(
  path: string,
  parquet: boolean,
  { to, split, lossy, progress }: ConvertOptions,
  counts: Counts,
): AsyncGenerator<TableRow> {
  const form = rowForms[to];
  const add = (map: Record<string, number>, what: string) => {
    map[what] = (map[what] ?? 0) + 1;
  };
  const leaveOut = (error: DataError, what: string) => {
    if (!lossy) throw error.amend({ hint: `With --lossy the row is left out, and counted.` });
    add(counts.leftOut, what);
  };
  const broken = (error: DataError) => {
    counts.read += 1;
    leaveOut(error, "rows that can't be read or break the form");
  };
  for await (const row of readExamples(path, broken, split)) {
    counts.read += 1;
    progress(counts.read);
    const place = { file: row.file, line: row.line };
    const lost = new Set<string>();
    const lose: Lose = (what) => {
      if (!lossy)
        throw new DataError(`${to} can't hold all of the row: ${what}`, {
          ...place,
          hint: "With --lossy what the form can't hold is left away, and counted.",
        });
      lost.add(what);
    };
    for (const column of row.unread) lose(`the column ${column}`);
    if (row.unanswered) lose("the turns after the last answer");
    for (const made of rowsOf(row, form, parquet, lose)) {
      if (typeof made === "string") leaveOut(unfit(made, to, place), made);
      else {
        counts.written += 1;
        yield made;
      }
    }
    for (const what of lost) add(counts.lost, what);
  }
  if (counts.written === 0)
    throw new DataError(`none of its ${counts.read} rows can be written as ${to}`, {
      file: path,
      hint: Object.keys(counts.leftOut).join("; "),
    });
}

const unfit = (why: string, to: RowFormName, place: Place) =>
  new DataError(`the row can't become one of ${to}: ${why}`, place);

/** The rows that a row becomes, and, for each example that becomes none, why. */
function* rowsOf(row: PlacedExamples, form: RowForm, parquet: boolean, lose: Lose): Generator<TableRow | string> {
  const examples = form.whole === true ? row.examples.slice(-1) : row.examples;
  for (const [at, example] of examples.entries()) {
    if (example.fault !== undefined) {
      yield example.fault;
      continue;
    }
    const id = examples.length > 1 ? `${row.id}#${at + 1}` : row.id;
    const made = form.rows({ id, example, row }, lose);
    if (typeof made === "string") yield made;
    else if (!parquet) yield* made;
    else for (const one of made) yield tableRow(one, form, lose);
  }
}

/** A row as Parquet can hold it: messages have a role and a content alone, and texts whole characters. */
function tableRow(row: TableRow, { columns }: RowForm, lose: Lose): TableRow | string {
  const plain = Object.fromEntries(
    columns.map((column) => {
      const cell = row[column.name] ?? null;
      const ofTurns = typeof column.type === "object" && typeof column.type.list === "object";
      return [column.name, ofTurns ? (cell as readonly Turn[]).map((turn) => plainTurn(turn, lose)) : cell];
    }),
  );
  if (!wellFormed(plain)) return "a text holds half a surrogate pair, which Parquet can't hold";
  const wrong = columns.find((column) => !isCell(column, plain[column.name]));
  return wrong === undefined ? plain : `Parquet can't hold its ${wrong.name}`;
}

function plainTurn({ role, content, ...others }: Turn, lose: Lose): Turn {
  if (Object.keys(others).length > 0) lose("fields of messages beside role and content");
  return { role, content };
}

function wellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.values(value).every(wellFormed);
}

async function writeParquet(output: string, { columns }: RowForm, rows: AsyncIterable<TableRow>): Promise<void> {
  const unfinished = `${output}.${process.pid}.part`;
  try {
    const table = writeTable(unfinished, columns);
    for await (const row of rows) table.add([row]);
    table.finish();
    renameSync(unfinished, output);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
