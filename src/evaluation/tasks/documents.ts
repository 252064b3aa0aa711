import type { z } from "zod";
import { AmalgamError, DataError, issueWords } from "../../schema/index.ts";
import { type FileRow, isFolder, splitRows } from "./data-files.ts";
import type { Placed } from "./few-shot.ts";
import { fewShotSplit, type Task, testSplit } from "./task.ts";

export interface TaskData {
  /** Those that are asked. */
  readonly documents: readonly Placed[];
  /** Those that examples are of; none where no examples are wanted. */
  readonly pool: readonly Placed[];
  /** How many documents each group has without a limit. */
  readonly sizes: ReadonlyMap<string | undefined, number>;
}

/**
 * The documents of a task in a file, or in a folder as its data set has it, and those that examples are of. With a `limit` the first ones
 * of each group only.
 *
 * @throws DataError with file, line and field for a row that is none of the task's, and where there is no file of a split
 */
export async function readTaskData(
  task: Task,
  path: string,
  { shots, limit }: { readonly shots: number; readonly limit?: number | undefined },
): Promise<TaskData> {
  const [asked, examples] = [testSplit(task), fewShotSplit(task)];
  if (asked === undefined)
    throw new DataError(`${task.name} names no split that its questions are of`, { field: "splits" });
  const all = await placed(task, splitRows(task, path, asked));
  if (all.length === 0) throw new DataError(`there are no questions of ${task.name} in it`, { file: path });
  const sizes = new Map<string | undefined, number>();
  const documents = all.filter(({ document }) => {
    const group = task.group?.(document);
    const before = sizes.get(group) ?? 0;
    sizes.set(group, before + 1);
    return before < (limit ?? Number.POSITIVE_INFINITY);
  });
  if (shots === 0) return { documents, pool: [], sizes };
  if (examples !== undefined && examples !== asked && !isFolder(path))
    throw new DataError(
      `${task.name} shows ${shots} examples of the split ${examples}, and a file has the questions only`,
      {
        file: path,
        field: "shots",
        hint: `Give a folder with both, ${examples}.jsonl and ${asked}.jsonl for instance, or write \`shots: 0\`.`,
      },
    );
  const pool = examples === asked ? all : await placed(task, splitRows(task, path, examples!));
  return { documents, pool, sizes };
}

async function placed(task: Task, rows: AsyncIterable<FileRow>): Promise<Placed[]> {
  const found: Placed[] = [];
  for await (const row of rows) found.push(placedRow(task, row));
  return found;
}

/** A row as the task reads it, of which a prompt can be made. Throws DataError with file, line and field. */
function placedRow(task: Task, { file, line, value }: FileRow): Placed {
  const parsed = task.row.safeParse(value);
  if (parsed.success) {
    tryOut(task, parsed.data, { file, line });
    return { row: value, document: parsed.data };
  }
  const issue = nearest(parsed.error.issues[0]!);
  const { message, hint } = issueWords(issue, value);
  throw new DataError(message, {
    file,
    line,
    field: issue.path.join("."),
    hint: [hint, `This is no row of ${task.name}.`].filter(Boolean).join(" "),
    cause: parsed.error,
  });
}

/** Makes all that a prompt is made of, so that what fails is told with its place. */
function tryOut(task: Task, document: unknown, place: { readonly file: string; readonly line: number }): void {
  try {
    task.group?.(document);
    task.description?.(document);
    if (task.kind === "choices") {
      task.choices(document);
      task.gold(document);
    } else {
      task.question(document);
      task.answer(document);
    }
  } catch (error) {
    if (error instanceof AmalgamError) throw error.amend(place);
    throw new DataError(`${task.name} can't make a question of this row: ${(error as Error).message}`, {
      ...place,
      cause: error,
    });
  }
}

/** Of a row that has several forms: the first mistake of the one that it is nearest to. */
function nearest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue;
  const branches = issue.errors.filter((issues) => issues.length > 0);
  const least = [...branches].sort((a, b) => a.length - b.length)[0];
  return least === undefined ? issue : nearest({ ...least[0]!, path: [...issue.path, ...least[0]!.path] });
}
