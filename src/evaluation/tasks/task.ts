import type { z } from "zod";
import type { FileRow } from "./data-files.ts";

/** Where a data set keeps the parts of a task, by lm-eval's names. Questions are of `test`, else of `validation`. */
export interface Splits {
  readonly training?: string;
  readonly validation?: string;
  readonly test?: string;
  /** Of the examples; without it `training`, else `validation`, else `test`. */
  readonly fewShot?: string;
}

/** One figure of a task. */
export interface Metric {
  /** As lm-eval writes it: the metric and the filter before it, `acc,none`. */
  readonly key: string;
  readonly title: string;
  /** How documents come to one figure: `mean` of numbers, or the share of all verdicts in lists of them. */
  readonly of: "mean" | "share";
}

/** What one document came to, by the metrics' keys. */
export type Scores = Readonly<Record<string, number | readonly boolean[]>>;

/** What stands before an answer, and the answer: they are joined by the delimiter. */
export interface Choice {
  readonly before: string;
  readonly answer: string;
}

interface TaskOf<Document> {
  readonly name: string;
  /** Of the task in lm-eval, whose figures it gives. */
  readonly version: number | string;
  /** Holds a row of the data to the fields that the task reads. */
  readonly row: z.ZodType<Document>;
  readonly splits: Splits;
  /** The configuration of the data set, or the folder within it, where it has several. */
  readonly config?: string;
  /** Names of a split's file without their endings, where they are not the split's own. */
  readonly files?: Readonly<Record<string, readonly string[]>>;
  /** The rows of a split, where the folder has a form of the task's own; undefined for any other. */
  readonly rows?: (path: string, split: string) => AsyncIterable<FileRow> | undefined;
  /** Examples before each question, as the Open LLM Leaderboard has them. */
  readonly shots: number;
  /** How examples are chosen: drawn anew for each document, or the first ones. */
  readonly sampler: "drawn" | "first";
  /** Between question and answer; a space without. */
  readonly targetDelimiter?: string;
  /** Between examples; an empty line without. */
  readonly fewShotDelimiter?: string;
  /** The part of the task that a document belongs to. Each has examples, a figure and a `limit` of its own. */
  readonly group?: (document: Document) => string;
  /** Groups that have a figure together, too: the mean of theirs by size. */
  readonly areas?: Readonly<Record<string, readonly string[]>>;
  /** What stands before everything. */
  readonly description?: (document: Document) => string;
  /** The first is the main one; higher is better. */
  readonly metrics: readonly [Metric, ...Metric[]];
  /** In what its figures are not quite those of the official code: said beside them, and they are not official. */
  readonly deviates?: string;
  /** How many questions the whole test set has, where it is known. */
  readonly whole?: number;
  /** What a person sees of the question. */
  readonly shown?: (document: Document) => string;
}

/** A task whose answer is the most probable of some. */
export interface ChoiceTask<Document> extends TaskOf<Document> {
  readonly kind: "choices";
  choices(document: Document): readonly Choice[];
  /** The right one: examples show it. */
  gold(document: Document): number;
  /** What the document came to, from the log-likelihood of each choice. */
  score(document: Document, logLikelihoods: readonly number[]): Scores;
}

/** A task whose answer the model writes. */
export interface WrittenTask<Document> extends TaskOf<Document> {
  readonly kind: "written";
  question(document: Document): string;
  answer(document: Document): string;
  /** Texts that end the answer. */
  readonly until: readonly string[];
  readonly maxTokens: number;
  score(document: Document, text: string): Scores;
  /** What each filter takes for the answer, for who reads the samples. */
  extract?(text: string): Readonly<Record<string, string>>;
}

/**
 * A task in the manner of lm-eval: how documents become prompts, and what the model's reply comes to. Write one as an object of this type,
 * or as YAML (`loadTask`).
 */
export type Task<Document = unknown> = ChoiceTask<Document> | WrittenTask<Document>;

/** Gives a task with its documents' type checked within and hidden without. */
export const defineTask = <Document>(task: Task<Document>): Task => task as unknown as Task;

export const targetDelimiterOf = ({ targetDelimiter = " " }: Pick<Task, "targetDelimiter">): string => targetDelimiter;

/** The split that questions are of. */
export const testSplit = ({ splits }: Pick<Task, "splits">): string | undefined => splits.test ?? splits.validation;

/** The split that examples are of. */
export const fewShotSplit = ({ splits }: Pick<Task, "splits">): string | undefined =>
  splits.fewShot ?? splits.training ?? splits.validation ?? splits.test;
