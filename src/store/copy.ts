import { closeSync, fsyncSync, openSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import Driver from "libsql";
import { explainSqlite } from "./errors.ts";
import { summaryName } from "./selections.ts";
import type { Split } from "./tables.ts";

/** What of a ledger holds for the run that its copy is for, beside all that stands under content keys. */
export interface CopiedParts {
  /** Stages that are done for that run, too. */
  readonly stages: readonly string[];
  readonly selections: readonly Split[];
  readonly evaluations: boolean;
}

const splits: readonly Split[] = ["sft", "wrpo", "evaluation"];

const quoted = (texts: readonly string[]) => texts.map((text) => `'${text.replaceAll("'", "''")}'`).join(", ");

/**
 * Copies the ledger of a run folder into another folder that has none, as of one moment and whole on the disk. Everything
 * under content keys comes along (responses, scores, log-probs, judgements); of what belongs to the run itself, only the
 * parts named. Throws LedgerError where one of the two can't be read or written.
 */
export function copyLedger(from: string, to: string, { stages, selections, evaluations }: CopiedParts): void {
  const [source, target] = [join(resolve(from), "run.db"), join(resolve(to), "run.db")];
  withDriver(source, `${pathToFileURL(source).href}?mode=ro`, (driver) => {
    driver.exec("PRAGMA busy_timeout = 5000");
    driver.exec(`VACUUM INTO ${quoted([target])}`);
  });
  withDriver(target, target, (driver) => {
    driver.exec(
      [
        "PRAGMA journal_mode = DELETE",
        "BEGIN",
        `DELETE FROM stages WHERE name NOT IN (${quoted(stages)})`,
        `DELETE FROM selections WHERE split NOT IN (${quoted(selections)})`,
        `DELETE FROM meta WHERE name IN (${quoted(splits.filter((split) => !selections.includes(split)).map(summaryName))})`,
        // Each stage declares anew what it asks for.
        "DELETE FROM draws",
        "DELETE FROM score_counts",
        ...(evaluations ? [] : ["DELETE FROM evaluations"]),
        "DELETE FROM meta WHERE name = 'writer'",
        "COMMIT",
      ].join("; "),
    );
  });
  const descriptor = openSync(target, "r+");
  fsyncSync(descriptor);
  closeSync(descriptor);
}

function withDriver(file: string, address: string, work: (driver: InstanceType<typeof Driver>) => void): void {
  let driver: InstanceType<typeof Driver> | undefined;
  try {
    driver = new Driver(address);
    work(driver);
  } catch (error) {
    throw explainSqlite(error, file);
  } finally {
    driver?.close();
  }
}
