import { stringify } from "yaml";
import type { DataTrainingSettings } from "../../schema/index.ts";
import type { LazyRows, LeftOutRows, StepMetrics } from "../../training/index.ts";
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
    /** Rows that were learnt from, or would have been had the epochs been long enough. */
    readonly learnt: number;
    readonly leftOut: readonly LeftOutRows[];
    /** Rows whose prompt lost its beginning. */
    readonly shortened: number;
    /** Rows that say just what an earlier one says; they are learnt from as often as they stand there. */
    readonly repeated: number;
  };
  readonly steps: number;
  /** Figures of the last step. */
  readonly last: StepMetrics | null;
  readonly seconds: number;
}

/** The counts of rows, as far as they are known. */
export function countRows({ files, leftOut, rows }: ReadData, lazy: LazyRows): DataTrainingReport["rows"] {
  const counts = lazy.counts();
  const all = [...leftOut, ...counts.leftOut];
  const read = files.reduce((sum, file) => sum + file.rows, 0);
  return {
    read,
    learnt: read - all.reduce((sum, reason) => sum + reason.rows, 0),
    leftOut: all,
    shortened: counts.shortened,
    repeated: rows.repeated,
  };
}

/** What is known of the rows before the training, as lines for people; of rows that come later it is not spoken yet. */
export function countLines(data: ReadData, lazy: LazyRows): string[] {
  const all = countRows(data, lazy);
  const whole = lazy.counts().looked === lazy.count;
  const { leftOut, shortened, repeated } = whole ? all : { ...all, leftOut: data.leftOut, shortened: 0 };
  return [
    ...leftOut.map(({ reason, rows, first }) => {
      const places = `${first.join(", ")}${rows > first.length ? ", ..." : ""}`;
      return `left out: ${rowsWords(rows)} (${reason}): ${places}`;
    }),
    ...(shortened > 0 ? [`${shortened} of the prompts lost their beginning to fit`] : []),
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
