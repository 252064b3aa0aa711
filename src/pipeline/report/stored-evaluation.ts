import type { z } from "zod";
import { type EvaluationSummary, evaluationSummarySchema } from "../../evaluation/index.ts";
import { LedgerError } from "../../schema/index.ts";
import type { Json, LedgerReader } from "../../store/index.ts";

/** An evaluation as the ledger keeps it; null where there is none. `what` names it in the LedgerError where it has another form. */
export function storedEvaluation<T>(
  { folder }: LedgerReader,
  json: Json | undefined,
  schema: z.ZodType<T>,
  what: string,
): T | null {
  if (json === undefined) return null;
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new LedgerError(`the ledger's ${what} of the models has another form than this version writes`, {
    file: folder,
    hint: "Evaluate again: amalgam evaluate <folder>.",
    cause: parsed.error,
  });
}

/** Under which name the ledger keeps the comparison of the models. */
export const comparisonEvaluation = "comparison";

/** The comparison of the models that the ledger has of these inputs, or without them the latest. Throws LedgerError for one of another form. */
export async function readComparison(
  reader: LedgerReader,
  inputs: string | undefined,
): Promise<EvaluationSummary | null> {
  const json =
    inputs === undefined
      ? (await reader.evaluations.list()).findLast(({ name }) => name === comparisonEvaluation)?.result
      : await reader.evaluations.get(comparisonEvaluation, inputs);
  return storedEvaluation(reader, json, evaluationSummarySchema, "comparison");
}
