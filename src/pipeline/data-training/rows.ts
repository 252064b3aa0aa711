import { join } from "node:path";
import { type DataRow, readDataRows, type WantedTexts } from "../../preferences/index.ts";
import { DataError, type DataTrainingSettings, TrainingError } from "../../schema/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import {
  type KnownRows,
  type LazyRows,
  type LeftOutRows,
  lazyRows,
  type PlacedRow,
  type RowFile,
  writeRowFile,
} from "../../training/index.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted } from "../run.ts";

/** What was read of the data files. */
export interface ReadData {
  readonly rows: RowFile;
  /** Each file with how it was read. */
  readonly files: readonly { readonly file: string; readonly format: string; readonly rows: number }[];
  /** Rows from which nothing can be learnt, by what is wrong with them. */
  readonly leftOut: readonly LeftOutRows[];
}

interface Reading {
  readonly output: string;
  readonly data: readonly string[];
  readonly wanted: WantedTexts;
  readonly unusable: DataTrainingSettings["unusable"];
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Reads all data files into one file of rows in the output folder, whatever their formats; memory doesn't grow with them. */
export async function readData(reading: Reading): Promise<ReadData> {
  const { output, data, wanted, listener } = reading;
  const files = data.map((file) => ({ file, format: "", rows: 0 }));
  const faults = new Map<string, { rows: number; first: string[] }>();
  const told = (file: string, words: string) => {
    for (const entry of files) if (entry.file === file) entry.format = words;
    listener.notice(`${file}: ${words}`);
  };
  async function* usable(): AsyncGenerator<PlacedRow> {
    for await (const { fault, ...row } of readDataRows(data, wanted, told)) {
      const entry = files.find(({ file }) => file === row.file)!;
      entry.rows += 1;
      if (entry.rows % 256 === 0) checkInterrupted(reading);
      if (fault === undefined) yield row;
      else leaveOut(row, fault);
    }
  }
  function leaveOut({ file, line }: Omit<DataRow, "fault">, fault: string): void {
    if (reading.unusable === "error")
      throw new DataError(fault, {
        file,
        line,
        hint: "Mend or remove the row; --set unusable=drop leaves such rows out.",
      });
    const { rows, first } = faults.get(fault) ?? { rows: 0, first: [] };
    faults.set(fault, { rows: rows + 1, first: first.length < 5 ? [...first, `${file}:${line}`] : first });
  }
  const rows = await writeRowFile(join(output, "rows.jsonl"), usable());
  return { rows, files, leftOut: [...faults].map(([reason, counted]) => ({ reason, ...counted })) };
}

interface Opening {
  readonly rows: RowFile;
  readonly tokenizer: Tokenizer;
  readonly settings: DataTrainingSettings;
  readonly known?: KnownRows;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/**
 * The rows as tokens, made when they are asked for. Where a setting makes an unfit row an error, all are made once
 * now: an error comes before the training, not in the midst of it.
 *
 * @throws TrainingError where no row at all can be learnt from.
 */
export async function openRows({ rows, tokenizer, settings, known, ...around }: Opening): Promise<LazyRows> {
  const { batch_size, unusable } = settings;
  const lazy = lazyRows(rows, {
    tokenizer,
    limits: settings,
    unusable,
    keep: Math.max(512, 2 * batch_size),
    ...(known === undefined ? {} : { known }),
  });
  const strict = settings.overlong === "error" || unusable === "error";
  let fit = false;
  for (let index = 0; index < rows.count && (strict || !fit); index++) {
    if (lazy.at(index) !== undefined) fit = true;
    if (index % 256 !== 255) continue;
    around.listener.progress({
      stage: "train",
      label: "checking the rows",
      done: index,
      total: rows.count,
      unit: "rows",
    });
    await new Promise<void>((resolve) => setImmediate(resolve));
    checkInterrupted(around);
  }
  if (fit) return lazy;
  const reasons = lazy.counts().leftOut.map(({ reason, rows: count }) => `${count}: ${reason}`);
  throw new TrainingError(`no row can be learnt from${reasons.length > 0 ? ` (${reasons.join("; ")})` : ""}`, {
    hint: "Look at the data and the model's chat template, or raise max_length and max_prompt_length.",
  });
}
