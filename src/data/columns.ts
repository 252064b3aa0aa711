import { DataError, didYouMean } from "../schema/index.ts";

/** Whether each row of a file of this kind has the same columns, be they null: what one lacks all lack. */
export const isTable = (file: string): boolean => /\.(parquet|arrow|csv|tsv)$/i.test(file);

/** Throws DataError where a table, of which this is a row, lacks one of these columns: what there is, and which is near. */
export function requireColumns(file: string, row: unknown, names: readonly string[]): void {
  if (!isTable(file) || typeof row !== "object" || row === null) return;
  const there = Object.keys(row);
  const lacking = names.find((name) => !there.includes(name));
  if (lacking === undefined) return;
  throw new DataError(`there is no column ${lacking}`, {
    file,
    hint: `${didYouMean(lacking, there)}Its columns are ${there.join(", ")}; \`fields\` in the recipe says which of them is what.`,
  });
}
