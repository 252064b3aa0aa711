import type { Objective, ResponseLogProbs, Role } from "../objectives/index.ts";
import { TrainingError } from "../schema/index.ts";
import { batchLogProbs, bundleTokens, packBundles } from "../scoring/index.ts";
import { type Tensor, tensor } from "../torch/index.ts";
import type { TrainingRow } from "./rows.ts";
import type { TrainingTask } from "./task.ts";

/** A row with log pi_ref(y|x) of each of its responses. */
export interface ReferencedRow extends TrainingRow {
  readonly reference: readonly number[];
}

/** A row with or without a reference. */
export type PreferenceRow = TrainingRow & Partial<ReferencedRow>;

/**
 * Preference training by an objective on rows whose responses stand in the order of the objective's roles.
 *
 * @throws TrainingError where the objective compares with a reference and a row has none.
 */
export function preferenceTask(rows: readonly PreferenceRow[], objective: Objective): TrainingTask<PreferenceRow> {
  const { roles } = objective;
  const bare = objective.needsReference ? rows.find(({ reference }) => reference === undefined) : undefined;
  if (bare !== undefined)
    throw new TrainingError(`${objective.name} compares with a reference, and the row ${bare.id} has none`, {
      hint: "Give the rows to withReference first.",
    });
  return {
    items: rows,
    tokensOf: bundleTokens,
    weightOf: () => 1,
    nameOf: (row) => row.id,
    compute(model, items, progress, options) {
      const { device } = model.parameters.get("model.embed_tokens.weight")!;
      const batch = packBundles(items, device);
      const policy = batchLogProbs(model, batch, options).view([items.length, roles.length]);
      const matrix = (values: readonly number[]) =>
        tensor(values, [items.length, roles.length], "float64").to(device, policy.dtype);
      const reference = matrix(
        items.flatMap(({ reference, responses }) => reference ?? responses.map(() => Number.NaN)),
      );
      const lengths = matrix(items.flatMap((row) => row.responses.map((response) => response.length)));
      /** The columns of a role, row after row. */
      const of = (role: Role): ResponseLogProbs => {
        const count = roles.filter((other) => other === role).length;
        const columns = (values: Tensor) => values.narrow(1, roles.indexOf(role), count).flatten();
        return { policy: columns(policy), reference: columns(reference), lengths: columns(lengths) };
      };
      const logProbs = Object.fromEntries(roles.map((role) => [role, of(role)])) as Record<Role, ResponseLogProbs>;
      const { loss, metrics } = objective.compute(logProbs, progress);
      const sums = Object.entries(metrics).map(
        ([name, values]) => [name, values.detach().to("float64").sum()] as const,
      );
      return { loss: loss.sum(), metrics: Object.fromEntries(sums) };
    },
  };
}
