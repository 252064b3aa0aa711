import { checkData, type DataCheck, type DataCheckOptions } from "../preferences/index.ts";
import type { Listener } from "./events.ts";
import { checkInterrupted } from "./run.ts";

export interface CheckOptions extends Omit<DataCheckOptions, "progress"> {
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** What is wrong with a data file, or a data set's folder. Throws DataError where it can't be read at all, Interrupted on an abort. */
export const checkFile = (file: string, { signal, listener, ...options }: CheckOptions): Promise<DataCheck> =>
  checkData(file, {
    ...options,
    progress(rows) {
      checkInterrupted({ signal });
      listener.progress({ stage: "check", label: "checking", done: rows, total: 0, unit: "rows" });
    },
  });
