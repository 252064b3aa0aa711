import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { EnvironmentError, replaceFile } from "../../schema/index.ts";
import type { LedgerReader } from "../../store/index.ts";
import { gatherReport, type ReportExtra } from "./report-data.ts";
import { reportHtml } from "./report-html.ts";

export { thisMachine } from "./ingredients.ts";
export { gatherReport, type ReportData, type ReportExtra } from "./report-data.ts";
export { reportHtml } from "./report-html.ts";
export { reportText } from "./report-text.ts";

/**
 * Writes `report.html` of a run that may be at any stage into its folder, and returns the file's path. A page that is
 * there already is replaced as a whole or not at all. Throws EnvironmentError where the page can't be written.
 */
export async function writeReport(reader: LedgerReader, folder: string, extra: ReportExtra): Promise<string> {
  const page = reportHtml(await gatherReport(reader, folder, extra));
  const file = join(folder, "report.html");
  try {
    mkdirSync(folder, { recursive: true });
    replaceFile(file, page);
  } catch (cause) {
    throw new EnvironmentError(
      `the report can't be written: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        file,
        cause,
        hint: "Make room on the disk, or name a folder that you may write; the run itself is kept.",
      },
    );
  }
  return file;
}
