import { type Converted, type ConvertOptions, convertData } from "../preferences/index.ts";
import { explainDisk } from "./disk.ts";
import type { Listener } from "./events.ts";
import { checkInterrupted } from "./run.ts";

export interface ConvertFileOptions extends Omit<ConvertOptions, "progress"> {
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Writes a data file in another form: see `convertData`, and throws what it throws; Interrupted on an abort. */
export async function convertFile(
  path: string,
  output: string,
  { signal, listener, ...options }: ConvertFileOptions,
): Promise<Converted> {
  try {
    return await convertData(path, output, {
      ...options,
      progress(rows) {
        checkInterrupted({ signal });
        listener.progress({ stage: "convert", label: "converting", done: rows, total: 0, unit: "rows" });
      },
    });
  } catch (error) {
    throw explainDisk(error, output);
  }
}
