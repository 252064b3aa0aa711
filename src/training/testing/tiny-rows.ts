import { tinyFigures } from "../../models/testing/tiny-model.ts";
import { recipeSchema } from "../../schema/index.ts";
import type { ReferencedRow } from "../response-table.ts";
import type { ResolvedOptimisation } from "../train.ts";

/** Quadruples for the tiny models: the fixtures' bundles with three responses, and others made of them. */
export function tinyRows(count: number): ReferencedRow[] {
  const bundles = tinyFigures("llama").bundles.filter(({ responses }) => responses.length === 3);
  return Array.from({ length: count }, (_, k) => {
    const { prompt, responses } = bundles[k % bundles.length]!;
    const shift = (ids: readonly number[]) => ids.map((id) => 5 + ((id + 31 * k) % 290));
    return {
      id: `row-${k}`,
      prompt: shift(prompt.slice(k % 3)),
      responses: responses.map(({ ids }, r) => shift(ids).slice(0, 3 + ((k + 5 * r) % 12))),
      reference: responses.map(({ ids }, r) => -(ids.length + r + k)),
    };
  });
}

/** A recipe for them. */
export const tinyRecipe = (change: Partial<ResolvedOptimisation> = {}): ResolvedOptimisation => {
  const { micro_batch_tokens = 4096, ...rest } = change;
  const given = { learning_rate: 1e-2, epochs: 2, batch_size: 3, weight_decay: 0.01, precision: "fp32", ...rest };
  return { ...recipeSchema.shape.sft.parse(given), micro_batch_tokens };
};
