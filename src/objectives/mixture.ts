import { type Objective, quadrupleRoles } from "./objective.ts";

export interface MixturePart {
  readonly objective: Objective;
  readonly weight: number;
}

/**
 * A mixture of objectives: L = sum of weight_i L_i, on the responses that any of them uses. A figure that several tell is
 * that of the first; the loss of each stands as `loss/NAME`.
 */
export function mixture(parts: readonly MixturePart[]): Objective {
  return {
    name: "mixture",
    roles: quadrupleRoles.flatMap((role) => {
      const count = ({ objective }: MixturePart) => objective.roles.filter((own) => own === role).length;
      return Array<typeof role>(Math.max(...parts.map(count))).fill(role);
    }),
    needsReference: parts.some(({ objective }) => objective.needsReference),
    compute(logProbs, progress) {
      const outputs = parts.map(({ objective, weight }) => ({
        name: objective.name,
        weight,
        ...objective.compute(logProbs, progress),
      }));
      return {
        loss: outputs.map(({ loss, weight }) => loss.mul(weight)).reduce((sum, loss) => sum.add(loss)),
        metrics: Object.assign(
          {},
          ...outputs.map(({ name, loss }) => ({ [`loss/${name}`]: loss })),
          ...outputs.map(({ metrics }) => metrics).reverse(),
        ),
      };
    },
  };
}
