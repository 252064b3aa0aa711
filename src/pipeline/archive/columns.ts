import { isCell, type ParquetColumn, type TableRow } from "../../data/index.ts";
import { DataError } from "../../schema/index.ts";
import type { RunTable, StoredRow, StoredValue, Tables } from "../../store/index.ts";

/** A column of the ledger as columns of a Parquet file: JSON is taken apart, where its form is known. */
interface StoredColumn {
  readonly name: string;
  readonly nullable: boolean;
  readonly columns: readonly ParquetColumn[];
  toFile(value: StoredValue): TableRow;
  toStored(row: TableRow): StoredValue;
}

type Scalar = "text" | "integer" | "real" | "time";

const plain =
  (type: Scalar, nullable = false) =>
  (name: string): StoredColumn => ({
    name,
    nullable,
    columns: [{ name, type, nullable }],
    toFile: (value) => ({ [name]: type === "time" && value !== null ? new Date(value as number) : value }),
    toStored(row) {
      const cell = row[name] ?? null;
      return cell instanceof Date ? cell.getTime() : (cell as StoredValue);
    },
  });

const [text, integer, real, time] = [plain("text"), plain("integer"), plain("real"), plain("time")];
const orNull = { text: plain("text", true), integer: plain("integer", true), time: plain("time", true) };

/** JSON of half a surrogate pair, which UTF-8 does not have. */
const halfPair = /\\u[dD][89a-fA-F]/;

/**
 * A column of JSON as typed columns. Where these don't give the very same text again (half a surrogate pair, a field that is not
 * known), the text stands in a further column of the ledger's own name, which is null otherwise.
 */
function json(
  { name, nullable = false }: { readonly name: string; readonly nullable?: boolean },
  columns: readonly ParquetColumn[],
  toFile: (value: unknown) => TableRow,
  toStored: (row: TableRow) => unknown,
): StoredColumn {
  const joined = (row: TableRow): StoredValue => {
    const value = toStored(row);
    return value === undefined ? null : JSON.stringify(value);
  };
  return {
    name,
    nullable,
    columns: [...columns, { name, type: "text", nullable: true }],
    toFile(stored) {
      const row = stored === null ? {} : toFile(JSON.parse(stored as string));
      const fits = columns.every((column) => isCell(column, row[column.name] ?? null));
      const exact = fits && joined(row) === stored && !halfPair.test(String(stored));
      return { ...(fits ? row : {}), [name]: exact ? null : stored };
    },
    toStored: (row) => (typeof row[name] === "string" ? row[name] : joined(row)),
  };
}

/** JSON that is one value of a type that Parquet has. */
const jsonOf =
  (name: string, type: ParquetColumn["type"], nullable = false) =>
  (stored: string): StoredColumn =>
    json(
      { name: stored, nullable },
      // Null, too, where the value is not what it should be.
      [{ name, type, nullable: typeof type !== "string" }],
      (value) => ({ [name]: value }),
      (row) => row[name] ?? undefined,
    );

const extras = (name: string) =>
  json(
    { name, nullable: true },
    [
      { name: "reasoning", type: "text", nullable: true },
      { name: "logprobs", type: { list: { token: "text", logprob: "real" } }, nullable: true },
    ],
    (value) => value as TableRow,
    ({ reasoning, logprobs }) =>
      (reasoning ?? logprobs ?? null) === null
        ? undefined
        : { ...(typeof reasoning === "string" ? { reasoning } : {}), ...(Array.isArray(logprobs) ? { logprobs } : {}) },
  );

/** `args` of a check are JSON: each check has its own. */
const checks = (name: string) =>
  json(
    { name },
    [{ name: "checks", type: { list: { id: "text", args: "text" } }, nullable: true }],
    (value) => ({
      checks: (value as { id: string; args: unknown }[]).map(({ id, args }) => ({ id, args: JSON.stringify(args) })),
    }),
    ({ checks: found }) =>
      (found as { id: string; args: string }[] | null | undefined)?.map(({ id, args }) => ({
        id,
        args: JSON.parse(args) as unknown,
      })),
  );

/** The numbers of prompts are each ledger's own. */
type ExportedName<T extends RunTable> = Exclude<keyof Tables[T], "prompt_no">;

/** The tables as they are exported; columns that end in `_json` hold JSON. */
const columnsByName: { readonly [T in RunTable]: { readonly [C in ExportedName<T>]: (name: string) => StoredColumn } } =
  {
    meta: { name: text, value: text },
    prompts: {
      id: text,
      position: integer,
      split: text,
      messages_json: jsonOf("messages", { list: { role: "text", content: "text" } }),
      messages_key: text,
      checks_json: checks,
      checks_key: text,
      domain: orNull.text,
    },
    samplers: {
      key: text,
      identity: text,
      sampling_json: text,
      created_at: time,
    },
    draws: {
      stage: text,
      source: text,
      sampler: text,
      n: integer,
      splits_json: jsonOf("splits", { list: "text" }),
      done: orNull.integer,
      unfinished: orNull.integer,
    },
    responses: {
      key: text,
      sampler: text,
      messages_key: text,
      idx: integer,
      text_json: jsonOf("text", "text"),
      finish: text,
      prompt_tokens: integer,
      response_tokens: integer,
      created_at: time,
      extras_json: extras,
    },
    failures: {
      sampler: text,
      messages_key: text,
      idx: integer,
      failure_json: jsonOf("failure", "text"),
      failed_at: time,
    },
    scores: {
      response_key: text,
      reward: text,
      checks_key: text,
      value: real,
      parts_json: jsonOf("parts", { list: { name: "text", value: "real", weight: "real" } }),
      created_at: time,
    },
    score_failures: {
      response_key: text,
      reward: text,
      checks_key: text,
      failure_json: jsonOf("failure", "text"),
      failed_at: time,
    },
    score_counts: { stage: text, reward: text, done: integer },
    selections: {
      prompt_id: text,
      split: text,
      source_chosen: orNull.text,
      target_chosen: orNull.text,
      rejected: orNull.text,
      source_rejected: orNull.text,
      further_sources_json: jsonOf("further_sources", { list: "text" }, true),
      left_out: orNull.text,
    },
    reference_logps: {
      model: text,
      template: text,
      prompt_tokens: text,
      response: text,
      logp: real,
      tokens: integer,
    },
    judgements: { key: text, judge: text, value_json: text, created_at: time },
    evaluations: {
      name: text,
      inputs: text,
      result_json: text,
      created_at: time,
    },
    stages: {
      name: text,
      inputs: text,
      state: text,
      first_started_at: time,
      started_at: time,
      updated_at: time,
      finished_at: orNull.time,
      seconds: real,
      total: integer,
      done: integer,
      done_before: integer,
      failed: integer,
      counts_json: text,
    },
  };

const tableColumns = Object.fromEntries(
  Object.entries(columnsByName).map(([table, columns]) => [
    table,
    Object.entries(columns).map(([name, make]) => make(name)),
  ]),
) as Partial<Record<RunTable, readonly StoredColumn[]>> as Readonly<Record<RunTable, readonly StoredColumn[]>>;

/** The columns of a table's file. */
export const fileColumns = (table: RunTable): ParquetColumn[] => tableColumns[table].flatMap(({ columns }) => columns);

/** A row of the ledger as a row of the file. */
export const toFileRow = (table: RunTable, row: StoredRow): TableRow =>
  Object.assign({}, ...tableColumns[table].map(({ name, toFile }) => toFile(row[name]!)));

/** And back: exactly what was stored. Throws DataError naming the column of a cell that can't be. */
export const toStoredRow = (table: RunTable, row: TableRow): StoredRow =>
  Object.fromEntries(tableColumns[table].map((column) => [column.name, storedCell(column, row)]));

function storedCell({ nullable, columns, toStored }: StoredColumn, row: TableRow): StoredValue {
  const field = columns[0]!.name;
  let value: StoredValue;
  try {
    value = toStored(row);
  } catch (cause) {
    throw new DataError(`the cell can't be read: ${(cause as Error).message}`, { field, cause });
  }
  if (value !== null || nullable) return value;
  throw new DataError("the cell is empty", { field });
}
