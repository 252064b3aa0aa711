import { expect } from "vitest";
import { recipeSchema } from "../../schema/index.ts";
import { backward, tensor, toNumbers } from "../../torch/index.ts";
import { type Objective, objectiveOf, type Role } from "../index.ts";

/** A number for each response, row after row, by role. */
export type ByRole = Readonly<Partial<Record<Role, readonly number[]>>>;

export interface LogProbs {
  readonly policy: ByRole;
  readonly reference: ByRole;
  /** Ten tokens each where there are none. */
  readonly lengths?: ByRole;
}

export const float64 = (values: readonly number[]) => tensor([...values], [values.length], "float64");

/** The objective on these log-probs: loss and metrics of each row, and the loss' gradients. */
export function evaluate(objective: Objective, { policy, reference, lengths }: LogProbs, progress = 0) {
  const leaves = [...new Set(objective.roles)].map((role) => {
    const x = float64(policy[role]!);
    x.requiresGrad = true;
    return [role, x] as const;
  });
  const logProbs = Object.fromEntries(
    leaves.map(([role, x]) => [
      role,
      {
        policy: x,
        reference: float64(reference[role]!),
        lengths: float64(lengths?.[role] ?? policy[role]!.map(() => 10)),
      },
    ]),
  ) as Parameters<Objective["compute"]>[0];
  const { loss, metrics } = objective.compute(logProbs, progress);
  backward(loss.sum());
  return {
    loss: toNumbers(loss),
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, toNumbers(values)])),
    gradients: Object.fromEntries(leaves.map(([role, x]) => [role, x.grad && toNumbers(x.grad)])),
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
