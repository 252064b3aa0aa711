import { setImmediate as nextTurn } from "node:timers/promises";
import { type DataRow, readDataRows, type WantedTexts } from "../../preferences/index.ts";
import { DataError, type DataTrainingSettings } from "../../schema/index.ts";
import { type LazyRows, type LeftOutRows, type PlacedRow, type RowFile, writeRowFile } from "../../training/index.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted } from "../run.ts";
import { outputPaths } from "./paths.ts";

/** What was read of the data files. */
export interface ReadData {
  readonly rows: RowFile;
  /** Of these, the first are to be learnt from, and the others are those of the files to evaluate on. */
  readonly training: number;
  /** Whether there are such files. */
  readonly evaluates: boolean;
  /** Each file with how it was read. */
  readonly files: readonly { readonly file: string; readonly format: string; readonly rows: number }[];
  /** Rows from which nothing can be learnt, by what is wrong with them. */
  readonly leftOut: readonly LeftOutRows[];
}

interface Reading {
  readonly output: string;
  readonly data: readonly string[];
  readonly evalData: readonly string[];
  readonly wanted: WantedTexts;
  readonly unusable: DataTrainingSettings["unusable"];
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Reads all data files into one file of rows in the output folder, whatever their formats; memory doesn't grow with them. */
export async function readData(reading: Reading): Promise<ReadData> {
  const { output, data, evalData, wanted, listener } = reading;
  const files: { file: string; format: string; rows: number }[] = [];
  const faults = new Map<string, { rows: number; first: string[] }>();
  let training = 0;
  async function* usable(): AsyncGenerator<PlacedRow> {
    for (const [at, file] of [...data, ...evalData].entries()) {
      const entry = { file, format: "", rows: 0 };
      files.push(entry);
      const told = (_: string, words: string) => {
        entry.format = words;
        listener.notice(`${file}: ${words}${at < data.length ? "" : " (to evaluate on)"}`);
      };
      for await (const { fault, ...row } of readDataRows([file], wanted, told)) {
        entry.rows += 1;
        if (entry.rows % 256 === 0) checkInterrupted(reading);
        if (fault !== undefined) {
          leaveOut(row, fault);
          continue;
        }
        if (at < data.length) training += 1;
        yield row;
      }
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
  const rows = await writeRowFile(outputPaths(output).rows, usable());
  const evaluates = evalData.length > 0;
  return {
    rows,
    training,
    evaluates,
    files,
    leftOut: [...faults].map(([reason, counted]) => ({ reason, ...counted })),
  };
}

interface Around {
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Looks at rows one after the other, with the progress told and the event loop turned; `look` ends it by false. */
export async function lookAtRows(
  indices: readonly number[],
  around: Around,
  look: (index: number) => boolean,
): Promise<void> {
  for (const [done, index] of indices.entries()) {
    if (!look(index)) return;
    if (done % 256 !== 255) continue;
    const told = { stage: "train", label: "checking the rows", unit: "rows" } as const;
    around.listener.progress({ ...told, done, total: indices.length });
    await nextTurn();
    checkInterrupted(around);
  }
}

/** The rows that fit, of these; those of which it isn't known are tokenised. */
export async function fittingOf(rows: LazyRows, indices: readonly number[], around: Around): Promise<number[]> {
  const fitting: number[] = [];
  await lookAtRows(indices, around, (index) => {
    if (rows.fits(index)) fitting.push(index);
    return true;
  });
  return fitting;
}
