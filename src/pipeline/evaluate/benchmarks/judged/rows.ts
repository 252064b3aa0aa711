import { dirname } from "node:path";
import type { z } from "zod";
import {
  DataError,
  type ErrorDetails,
  issueWords,
  makeFolder,
  readJsonLines,
  replaceFile,
  valueAt,
} from "../../../../schema/index.ts";

/** A row of a file, with the line that it stands on. */
export interface Row<Value> {
  readonly line: number;
  readonly value: Value;
}

/** The first thing that a schema found wrong, with where it stands. */
export function refused(error: z.ZodError, root: unknown, details: ErrorDetails): DataError {
  const issue = error.issues[0]!;
  const missing = valueAt(root, issue.path) === undefined;
  const { message, hint }: { message: string; hint?: string } = missing
    ? { message: "is missing" }
    : issueWords(issue, root);
  const field = issue.path.join(".");
  return new DataError(message, { ...details, ...(field === "" ? {} : { field }) }).amend(
    hint === undefined ? {} : { hint },
  );
}

/**
 * The rows of a JSONL file, each by the schema for its form.
 *
 * @throws DataError with file, line and field for a row that the schema refuses, and for a file without rows.
 */
export async function readRowsOf<Value>(
  file: string,
  what: string,
  schemaOf: (value: unknown) => z.ZodType<Value>,
): Promise<Row<Value>[]> {
  const rows: Row<Value>[] = [];
  for await (const { line, value } of readJsonLines(file)) {
    const parsed = schemaOf(value).safeParse(value);
    if (!parsed.success) {
      throw refused(parsed.error, value, { file, line, hint: `This should be ${what}.` });
    }
    rows.push({ line, value: parsed.data });
  }
  if (rows.length === 0) throw new DataError("the file has no rows", { file, hint: `A line each should be ${what}.` });
  return rows;
}

/** The rows by their ids. Throws DataError for an id that stands twice. */
export function rowsById<Value>(
  file: string,
  rows: readonly Row<Value>[],
  idOf: (value: Value) => string,
): Map<string, Value> {
  const lines = new Map<string, number>();
  for (const { line, value } of rows) {
    const id = idOf(value);
    const first = lines.get(id);
    if (first !== undefined)
      throw new DataError(`the id ${id} stands here and on line ${first}`, {
        file,
        line,
        hint: "Keep one of the two.",
      });
    lines.set(id, line);
  }
  return new Map(rows.map(({ value }) => [idOf(value), value]));
}

/** Answers that a file has to questions, and what a reader should know of the file. */
export interface FoundAnswers<Value> {
  readonly answers: ReadonlyMap<string, Value>;
  readonly notes: readonly string[];
}

/**
 * Answers by their question: of several to one the last counts, as in the official tools; that, and what is to no question, is noted.
 *
 * @throws DataError where none is to one of the questions: the file belongs to others
 */
export function answersById<Value>(
  file: string,
  rows: readonly Row<Value>[],
  idOf: (value: Value) => string,
  known: ReadonlySet<string>,
): FoundAnswers<Value> {
  const answers = new Map<string, Value>();
  let again = 0;
  let unknown = 0;
  for (const { value } of rows) {
    const id = idOf(value);
    if (!known.has(id)) unknown += 1;
    else if (answers.has(id)) again += 1;
    if (known.has(id)) answers.set(id, value);
  }
  if (answers.size === 0)
    throw new DataError("none of its answers is to one of the questions", {
      file,
      hint: `It has answers to ${firstOf(rows.map(({ value }) => idOf(value)))}, and the questions are ${firstOf([...known])}.`,
    });
  return {
    answers,
    notes: [
      ...(again === 0
        ? []
        : [`${again} of the file's answers are followed by another to the same question, which counts`]),
      ...(unknown === 0 ? [] : [`${unknown} of the file's answers are to none of the questions and count nowhere`]),
    ],
  };
}

const firstOf = (ids: readonly string[]): string => `${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ", ..." : ""}`;

/** Writes rows as JSONL, over the file that is there. */
export function writeRows(file: string, rows: readonly unknown[]): void {
  makeFolder(dirname(file));
  replaceFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** A model's or judge's name as the name of a file. */
export const fileName = (name: string): string => name.replaceAll(/[^A-Za-z0-9._-]+/g, "_");
