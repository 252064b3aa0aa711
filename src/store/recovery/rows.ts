import { drawnKey, samplerKey } from "../draws.ts";
import type { Tables } from "../tables.ts";
import type { Row, Value } from "./cells.ts";

export type TableName = keyof Tables;

/** A column as the ledger's schema has it. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
}

/**
 * Tables whose rows stand under content keys and never change: such a row is right wherever in the file it stands, on a
 * page that its table doesn't lead to any more, too.
 */
export const keyedTables = ["responses", "scores", "reference_logps", "judgements", "samplers"] as const;
export type KeyedTable = (typeof keyedTables)[number];

/** Tables of the run as it is now: a row counts only where its table leads to it. */
export const runTables = [
  "meta",
  "prompts",
  "draws",
  "failures",
  "score_failures",
  "selections",
  "evaluations",
  "stages",
] as const;

const isDigest = (value: Value | undefined) => typeof value === "string" && /^[0-9a-f]{32}$/.test(value);

/** What tells the rows of a table from those of all others. */
const marks: Readonly<Record<KeyedTable, (values: readonly Value[]) => boolean>> = {
  responses: ([key, sampler, messages, index, , finish]) =>
    isDigest(key) &&
    isDigest(sampler) &&
    isDigest(messages) &&
    (finish === "stop" || finish === "length") &&
    drawnKey(messages as string, sampler as string, index as number) === key,
  scores: ([response, , checks, value, , at, ...rest]) =>
    rest.length <= 1 && isDigest(response) && isDigest(checks) && typeof value === "number" && typeof at === "number",
  reference_logps: ([model, template, prompt, response, logp, tokens, ...rest]) =>
    rest.length === 0 &&
    [model, template, prompt, response].every((digest) => typeof digest === "string") &&
    typeof logp === "number" &&
    Number.isInteger(tokens),
  judgements: ([key, judge, value, at, ...rest]) =>
    rest.length === 0 &&
    isDigest(key) &&
    typeof judge === "string" &&
    typeof value === "string" &&
    typeof at === "number",
  samplers: ([key, identity, sampling, at, ...rest]) =>
    rest.length === 0 && typeof at === "number" && isSampler(key, identity, sampling),
};

function isSampler(key: Value | undefined, identity: Value | undefined, sampling: Value | undefined): boolean {
  if (!isDigest(key) || typeof identity !== "string" || typeof sampling !== "string") return false;
  try {
    return samplerKey(identity, JSON.parse(sampling)) === key;
  } catch {
    return false;
  }
}

/** The table under content keys that a row belongs to, wherever it was found; undefined for all others, and for one whose key is wrong. */
export function tableOf({ values }: Row): KeyedTable | undefined {
  // Samplers before judgements: their keys can be checked.
  return (["responses", "scores", "reference_logps", "samplers", "judgements"] as const).find((name) =>
    marks[name](values),
  );
}

/** Tables whose rows end, from the next schema on, with a prompt's number, which the ledger that is saved gives anew. */
const numberedTables: ReadonlySet<TableName> = new Set(["prompts", "responses", "scores", "score_failures"]);

/**
 * A row as its table had it in the schema of these columns, those that it lacks as null; undefined where a value can't stand in its
 * column.
 */
export function asRecord(
  name: TableName,
  { values }: Row,
  columns: readonly Column[],
): Record<string, Value> | undefined {
  if (values.length > columns.length + (numberedTables.has(name) ? 1 : 0)) return undefined;
  const record: Record<string, Value> = {};
  for (const [at, column] of columns.entries()) {
    const value = values[at] ?? null;
    if (!fits(value, column)) return undefined;
    record[column.name] = value;
  }
  return record;
}

function fits(value: Value, { name, type, notnull }: Column): boolean {
  if (value === null) return notnull === 0;
  if (!/text/i.test(type)) return typeof value === "number" && Number.isFinite(value);
  if (typeof value !== "string" || value.includes("\0")) return false;
  if (!name.endsWith("_json")) return true;
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}
