import { stringify } from "yaml";
import { z } from "zod";
import type { DataTrainingSettings } from "../../schema/index.ts";
import type { LazyRows, LazySequence, LeftOutRows, StepMetrics } from "../../training/index.ts";
import type { ReadData } from "./rows.ts";

/** What a training on data of one's own did; it stands in `report.json` of the output folder, too. */
export interface DataTrainingReport {
  readonly objective: string;
  /** The model folder that was written. */
  readonly model: string;
  /** True where the model stood there already, made from the same data with the same settings. */
  readonly doneBefore: boolean;
  readonly files: ReadData["files"];
  readonly rows: {
    /** Rows of the files; an SFT conversation has one for each answer. */
    readonly read: number;
    /** Rows that stood in a batch, once or more often. */
    readonly learnt: number;
    /** Rows to evaluate on. */
    readonly heldOut: number;
    /** Rows whose turn never came: the epochs, or an early end, left them aside. */
    readonly unused: number;
    readonly leftOut: readonly LeftOutRows[];
    /** Of the rows that were looked at, those whose prompt lost its beginning, and those whose responses lost their ends. */
    readonly shortened: number;
    readonly cut: number;
    /** Rows that say just what an earlier one says; they are learnt from as often as they stand there. */
    readonly repeated: number;
  };
  readonly steps: number;
  /** Steps that changed nothing, because their loss or gradient was not finite. */
  readonly skippedSteps: number;
  /** Steps whose batch was smaller by rows that were left out only when it came: their loss is the mean over the others. */
  readonly smallerSteps: number;
  /** Figures of the last step. */
  readonly last: StepMetrics | null;
  /** Figures of the last evaluation. */
  readonly evaluation: StepMetrics | null;
  /** The step whose weights the model has, where early stopping chose them. */
  readonly bestStep?: number;
  readonly seconds: number;
}

/** By what a file is known to be such a report. */
export const reportMarks = z.looseObject({
  objective: z.string(),
  model: z.string(),
  rows: z.looseObject({ read: z.number(), learnt: z.number() }),
  steps: z.number(),
});

/** What was done with the rows. */
export interface UsedRows {
  readonly heldOut: readonly number[];
  /** The items of each step, and the rows of each item. */
  readonly batches: readonly (readonly number[])[];
  readonly rowsOf: readonly LazySequence[];
}

/**
 * The counts of rows after a training, and of the steps that lacked some. Rows of earlier steps that this process has not
 * looked at are.
 */
export function countRows(
  { files, leftOut, rows }: ReadData,
  lazy: LazyRows,
  { heldOut, batches, rowsOf }: UsedRows,
): Pick<DataTrainingReport, "rows" | "smallerSteps"> {
  const items = new Set(batches.flat());
  const learnt = [...items].flatMap((item) => rowsOf[item]!.filter(lazy.fits)).length;
  const isWhole = (item: number) => rowsOf[item]!.every(lazy.fits);
  const counts = lazy.counts();
  const all = [...leftOut, ...counts.leftOut];
  const read = files.reduce((sum, file) => sum + file.rows, 0);
  return {
    rows: {
      read,
      learnt,
      heldOut: heldOut.length,
      unused: read - learnt - heldOut.length - all.reduce((sum, reason) => sum + reason.rows, 0),
      leftOut: all,
      shortened: counts.shortened,
      cut: counts.cut,
      repeated: rows.repeated,
    },
    smallerSteps: batches.filter((batch) => !batch.every(isWhole)).length,
  };
}

/** What is known of the rows before the training, as lines for people; of rows that come later it is not spoken yet. */
export function countLines({ leftOut, rows: { repeated } }: ReadData, lazy: LazyRows): string[] {
  const counts = lazy.counts();
  return [
    ...[...leftOut, ...counts.leftOut].map(({ reason, rows, first }) => {
      const places = `${first.join(", ")}${rows > first.length ? ", ..." : ""}`;
      return `left out: ${rowsWords(rows)} (${reason}): ${places}`;
    }),
    ...(counts.shortened > 0 ? [`${counts.shortened} of the prompts lost their beginning to fit`] : []),
    ...(counts.cut > 0
      ? [`the reference code's tokenisation cut the responses of ${rowsWords(counts.cut)} to fit`]
      : []),
    ...(repeated > 0
      ? [`${rowsWords(repeated)} said by an earlier one already: learnt as often as they stand there`]
      : []),
  ];
}

const rowsWords = (rows: number) => (rows === 1 ? "1 row" : `${rows} rows`);

interface Card {
  readonly base: string;
  readonly digest: string;
  readonly settings: DataTrainingSettings;
  readonly files: ReadData["files"];
  readonly rows: DataTrainingReport["rows"];
}

/** The model card: from what and how. */
export function dataTrainingCard({ base, digest, settings, files, rows }: Card): string {
  return [
    "---",
    "library_name: transformers",
    `tags: [amalgam, ${settings.objective}]`,
    "---",
    "",
    `# ${base.split(/[/:]/).at(-1)}-${settings.objective}`,
    "",
    `${base} (SHA-256 ${digest}), trained by ${settings.objective} on ${rows.learnt} of ${rows.read} rows:`,
    "",
    ...files.map(({ file, format, rows: count }) => `- ${file.split("/").at(-1)}: ${count} rows (${format})`),
    "",
    "The licences of the model and of the data hold for this model.",
    "",
    "## Settings",
    "",
    "```yaml",
    stringify(settings).trimEnd(),
    "```",
    "",
  ].join("\n");
}
