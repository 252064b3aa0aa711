import { z } from "zod";
import type { LedgerReader } from "../../store/index.ts";
import { type Histogram, histogram } from "./histogram.ts";
import { storedEvaluation } from "./stored-evaluation.ts";

/** The responses of a quadruple. */
export const askedRoles = ["source_chosen", "target_chosen", "rejected"] as const;
export type AskedRole = (typeof askedRoles)[number];

const distributionSchema = z.object({
  responses: z.int().min(1),
  mean: z.number(),
  /** Standard deviation over the responses. */
  deviation: z.number(),
  histogram: z.object({ low: z.number(), high: z.number(), counts: z.array(z.int()) }) satisfies z.ZodType<Histogram>,
});
export type LogProbDistribution = z.infer<typeof distributionSchema>;

/** How probable each model finds the responses that WRPO learns from, those of a pair without y_wt: log-probs of a response, divided by its tokens, in nats. */
export const logProbSummarySchema = z.object({
  models: z.array(z.object({ label: z.string(), roles: z.partialRecord(z.enum(askedRoles), distributionSchema) })),
});
export type LogProbSummary = z.infer<typeof logProbSummarySchema>;

/** Mean token log-probs of the responses in each role. */
export interface AskedModel {
  readonly label: string;
  readonly values: Readonly<Partial<Record<AskedRole, readonly number[]>>>;
}

const bins = 30;

/** The distributions of these models, all in the same bins. */
export function summariseLogProbs(models: readonly AskedModel[]): LogProbSummary {
  const all = models.flatMap(({ values }) => Object.values(values).flat());
  const [low, high] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
  const range = low < high ? { low, high } : { low: low - 0.5, high: high + 0.5 };
  const distribution = (values: readonly number[]): LogProbDistribution => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    return {
      responses: values.length,
      mean,
      deviation: Math.sqrt(variance),
      histogram: mutable(histogram(values, range, bins)),
    };
  };
  return {
    models: models.map(({ label, values }) => ({
      label,
      roles: Object.fromEntries(
        askedRoles.flatMap((role) => (values[role] === undefined ? [] : [[role, distribution(values[role])]])),
      ),
    })),
  };
}

const mutable = ({ low, high, counts }: Histogram) => ({ low, high, counts: [...counts] });

/** Under which name the ledger keeps them. */
export const logProbEvaluation = "log-probs";

/** The log-probs that the ledger has of these inputs. Throws LedgerError where they have another form. */
export async function readLogProbs(reader: LedgerReader, inputs: string): Promise<LogProbSummary | null> {
  const json = await reader.evaluations.get(logProbEvaluation, inputs);
  return storedEvaluation(reader, json, logProbSummarySchema, "set of log-probs");
}
