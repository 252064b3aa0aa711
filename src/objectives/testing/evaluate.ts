import { expect } from "vitest";
import { recipeSchema } from "../../schema/index.ts";
import { backward, type Tensor, tensor, toNumbers } from "../../torch/index.ts";
import { type Objective, type ObjectiveState, objectiveOf, type ResponseLogProbs, type RowRole } from "../index.ts";

/** A number for each response, row after row, by role. */
export type ByRole = Readonly<Partial<Record<RowRole, readonly number[]>>>;

export interface LogProbs {
  readonly policy: ByRole;
  readonly reference: ByRole;
  /** Ten tokens each where there are none. */
  readonly lengths?: ByRole;
  readonly head?: ByRole;
  readonly headReference?: ByRole;
  readonly alignment?: ByRole;
}

export const float64 = (values: readonly number[]) => tensor([...values], [values.length], "float64");

/** Leaves of the policy's log-probs for all that the objective looks at, with what belongs to them. */
function leavesOf(objective: Objective, { policy, reference, lengths, head, headReference, alignment }: LogProbs) {
  const roles = new Set<RowRole>([...objective.roles, ...(objective.mismatched ? (["mismatched"] as const) : [])]);
  const given = [...roles].map((role) => {
    const leaf = (values: readonly number[]) => {
      const x = float64(values);
      x.requiresGrad = true;
      return x;
    };
    const rest = {
      ...(head === undefined ? {} : { head: leaf(head[role]!) }),
      ...(headReference === undefined ? {} : { headReference: float64(headReference[role]!) }),
      ...(alignment === undefined ? {} : { alignment: float64(alignment[role]!) }),
      reference: float64(reference[role]!),
      lengths: float64(lengths?.[role] ?? policy[role]!.map(() => 10)),
    };
    return [role, { policy: leaf(policy[role]!), ...rest }] as const;
  });
  return Object.fromEntries(given) as Parameters<Objective["compute"]>[0];
}

/** The objective on these log-probs: loss and metrics of each row, and the loss' gradients; of a coupled one those of the batch. */
export function evaluate(objective: Objective, given: LogProbs, progress = 0, state?: ObjectiveState) {
  const leaves = leavesOf(objective, given);
  const { loss, metrics, state: after } = objective.compute(leaves, progress, state);
  backward(objective.coupled ? loss.mean() : loss.sum());
  const grads = (of: (y: ResponseLogProbs) => Tensor | undefined) =>
    Object.fromEntries(
      Object.entries(leaves).map(([role, y]) => {
        const grad = of(y)?.grad;
        return [role, grad == null ? null : toNumbers(grad)];
      }),
    );
  return {
    loss: toNumbers(loss),
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, toNumbers(values)])),
    gradients: grads(({ policy }) => policy),
    headGradients: grads(({ head }) => head),
    state: after,
  };
}

export function expectClose(got: readonly number[], want: readonly number[], tolerance = 1e-10): void {
  expect(got).toHaveLength(want.length);
  for (const [k, value] of got.entries())
    expect(Math.abs(value - want[k]!), `${value}, not ${want[k]}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(want[k]!)),
    );
}

/** The objective of the `wrpo` part of a recipe, for rows of so many source responses. */
export const fromRecipe = (given: object, sourceResponses = 1): Objective =>
  objectiveOf(recipeSchema.shape.wrpo.parse(given), sourceResponses);
