import { z } from "zod";
import { readRows } from "../../data/index.ts";
import type { Gamed } from "../../evaluation/index.ts";
import { DataError } from "../../schema/index.ts";
import { parsedRow } from "./annotations.ts";

/** AlpacaEval's instructions; the difficulties belong to their places. */
export const alpacaInstructions = 805;

const numeric = z
  .union([z.number(), z.string().regex(/\S/u).transform(Number)])
  .refine(Number.isFinite, { error: "is no number" });
const gamedSchema = z.object({
  preference: numeric,
  std_delta_len: numeric,
  instruction_difficulty: numeric,
  index: numeric,
});

/**
 * AlpacaEval's `df_gamed.csv` (from the data set tatsu-lab/alpaca_eval): the baseline asked to be verbose or concise, against itself.
 *
 * @throws DataError for rows of another form, and where the first 805 are not those of the instructions in order
 */
export async function readGamed(file: string): Promise<Gamed[]> {
  const rows: Gamed[] = [];
  for await (const { line, value } of readRows(file)) {
    const { preference, std_delta_len, instruction_difficulty, index } = parsedRow(gamedSchema, value, { file, line });
    if (rows.length < alpacaInstructions && index !== rows.length)
      throw new DataError(`this is the row of instruction ${index}, where that of ${rows.length} should stand`, {
        file,
        line,
        field: "index",
      });
    rows.push({ preference, length: std_delta_len, difficulty: instruction_difficulty });
  }
  if (rows.length < alpacaInstructions)
    throw new DataError(`it has ${rows.length} rows, and AlpacaEval's df_gamed.csv has 1610`, { file });
  return rows;
}
