import { resolve } from "node:path";
import { hasLedger, readLedger } from "../../store/index.ts";
import { type Finding, findingOf, ok, warning } from "./finding.ts";

/** Whether the ledger of a run folder, if there is one yet, can be read, and who works on it. */
export async function* runFolderFindings(folder: string): AsyncGenerator<Finding> {
  if (!hasLedger(folder)) return;
  const what = "run folder";
  try {
    const reader = await readLedger(folder);
    try {
      const writer = await reader.writer();
      yield writer === undefined
        ? ok(what, `${resolve(folder)}: holds a run, and nobody works on it now`)
        : warning(
            what,
            `${resolve(folder)}: process ${writer.pid} on ${writer.host} works on it now`,
            "Another command waits until it ends; `amalgam status` may look in at any time.",
          );
    } finally {
      await reader.close();
    }
  } catch (error) {
    yield findingOf(what, error);
  }
}
