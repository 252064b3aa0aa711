import type { RunTable } from "../../store/index.ts";
import { type Manifest, tableFile } from "./manifest.ts";

/** The page of an export as a data set, with a part for each table that has rows: `datasets` finds them by it. */
export function exportReadme({ tables }: Manifest): string {
  const filled = (Object.entries(tables) as [RunTable, { readonly rows: number }][]).filter(([, { rows }]) => rows > 0);
  return `${[
    "---",
    "configs:",
    ...filled.flatMap(([name]) => [`- config_name: ${name}`, `  data_files: ${tableFile(name)}`]),
    "---",
    "",
    "# A run of Amalgam",
    "",
    "Each table of the run's ledger as a Parquet file; columns that end in `_json` hold JSON. `run` has the recipe, the models and the other files of the run folder.",
    "`amalgam import` makes a run of it again. The guide of Amalgam says what the columns are.",
    "",
    "| table | rows |",
    "| --- | --- |",
    ...filled.map(([name, { rows }]) => `| \`${name}\` | ${rows} |`),
  ].join("\n")}\n`;
}
