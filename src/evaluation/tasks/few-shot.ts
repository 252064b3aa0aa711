import { isDeepStrictEqual } from "node:util";
import { DataError } from "../../schema/index.ts";
import { type PythonRandom, pythonRandom } from "../random/python-random.ts";
import { fewShotSplit, type Task, targetDelimiterOf } from "./task.ts";

/** lm-eval's `fewshot_random_seed`. */
const fewShotSeed = 1234;

/** A row of the data, as it was read and as the task reads it. */
export interface Placed<Document = unknown> {
  readonly row: unknown;
  readonly document: Document;
}

/** What a model is asked of one document. */
export interface Prompt<Document = unknown> extends Placed<Document> {
  /** The document's place among those of its group. */
  readonly index: number;
  readonly group: string | undefined;
  /** Contexts with what is scored after each; a written answer has one, with nothing after it. */
  readonly requests: readonly { readonly context: string; readonly continuation: string }[];
}

/**
 * The prompts of the documents, in order, as lm-eval 0.4.5 makes them: the description, then the examples, then the question. Examples of
 * `drawn` tasks come from one stream of random numbers for each group, in the order of the documents; one more is drawn where examples and
 * questions are of the same split, and the document itself is never an example.
 *
 * @throws DataError where there are fewer examples than are wanted.
 */
export function promptsOf<Document>(
  task: Task<Document>,
  documents: readonly Placed<Document>[],
  pool: readonly Placed<Document>[],
  shots: number,
): Prompt<Document>[] {
  const groupOf = (document: Document) => task.group?.(document);
  const pools = new Map<string | undefined, Placed<Document>[]>();
  for (const placed of pool) {
    const group = groupOf(placed.document);
    const members = pools.get(group);
    if (members === undefined) pools.set(group, [placed]);
    else members.push(placed);
  }
  const streams = new Map<string | undefined, { random: PythonRandom; seen: number }>();
  return documents.map(({ row, document }) => {
    const group = groupOf(document);
    const stream = streams.get(group) ?? { random: pythonRandom(fewShotSeed), seen: 0 };
    streams.set(group, stream);
    const examples = shots === 0 ? [] : chosen(task, pools.get(group) ?? [], shots, stream.random, group);
    const { fewShotDelimiter = "\n\n" } = task;
    const shown = examples
      .filter((example) => !isDeepStrictEqual(example.row, row))
      .slice(0, shots)
      .map((example) => shownExample(task, example.document) + fewShotDelimiter);
    const beginning = (task.description?.(document) ?? "") + shown.join("");
    const delimiter = targetDelimiterOf(task);
    // Most choices have one context: it is one text in memory, too.
    const contexts = new Map<string, string>();
    const contextOf = (before: string) => {
      const context = contexts.get(before) ?? beginning + before;
      contexts.set(before, context);
      return context;
    };
    const requests =
      task.kind === "choices"
        ? task.choices(document).map(({ before, answer }) => ({
            context: contextOf(before),
            continuation: delimiter + answer,
          }))
        : [{ context: beginning + task.question(document), continuation: "" }];
    return { row, document, index: stream.seen++, group, requests };
  });
}

function shownExample<Document>(task: Task<Document>, document: Document): string {
  const { before, answer } =
    task.kind === "choices"
      ? task.choices(document)[task.gold(document)]!
      : { before: task.question(document), answer: task.answer(document) };
  return before + targetDelimiterOf(task) + answer;
}

function chosen<Document>(
  task: Task<Document>,
  pool: readonly Placed<Document>[],
  shots: number,
  random: PythonRandom,
  group: string | undefined,
): readonly Placed<Document>[] {
  // lm-eval compares the names that a task states: two that are not stated are equal, too.
  const spare = Number(task.splits.fewShot === task.splits.test);
  const wanted = shots + spare;
  if (pool.length < wanted)
    throw new DataError(
      `${task.name} wants ${wanted} examples${group === undefined ? "" : ` of ${group}`}, and the split ${fewShotSplit(task)} has ${pool.length}`,
      { field: "shots", hint: "Ask for fewer `shots`, or give data with more examples." },
    );
  return task.sampler === "first" ? pool.slice(0, wanted) : random.sample(pool, wanted);
}
