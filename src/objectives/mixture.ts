import type { Tensor } from "../torch/index.ts";
import { type Objective, type ObjectiveState, quadrupleRoles } from "./objective.ts";

export interface MixturePart {
  readonly objective: Objective;
  readonly weight: number;
}

/**
 * A mixture of objectives: L = sum of weight_i L_i, on the responses that any of them uses. A figure that several tell is
 * that of the first; the loss of each stands as `loss/NAME`. Coupled where one of them is: it then mixes the losses of the batch.
 */
export function mixture(parts: readonly MixturePart[]): Objective {
  const objectives = parts.map(({ objective }) => objective);
  const coupled = objectives.some((objective) => objective.coupled);
  const states = objectives.map(({ initialState = {} }) => initialState);
  return {
    name: "mixture",
    roles: quadrupleRoles.flatMap((role) => {
      const count = ({ roles }: Objective) => roles.filter((own) => own === role).length;
      return Array<typeof role>(Math.max(...objectives.map(count))).fill(role);
    }),
    needsReference: objectives.some(({ needsReference }) => needsReference),
    needsHeads: objectives.some(({ needsHeads }) => needsHeads),
    needsAlignments: objectives.some(({ needsAlignments }) => needsAlignments),
    coupled,
    unpaired: objectives.every(({ unpaired }) => unpaired),
    mismatched: objectives.some(({ mismatched }) => mismatched),
    initialState: joined(states),
    compute(logProbs, progress, state = joined(states), learnt = true) {
      const outputs = parts.map(({ objective, weight }, k) => {
        const output = objective.compute(logProbs, progress, part(state, k), learnt);
        const loss: Tensor = coupled ? output.loss.mean() : output.loss;
        return { ...output, loss, name: objective.name, weight };
      });
      return {
        loss: outputs.map(({ loss, weight }) => loss.mul(weight)).reduce((sum, loss) => sum.add(loss)),
        metrics: Object.assign(
          {},
          ...outputs.map(({ name, loss }) => ({ [`loss/${name}`]: loss })),
          ...outputs.map(({ metrics }) => metrics).reverse(),
        ),
        state: joined(outputs.map(({ state: after = {} }) => after)),
      };
    },
  };
}

/** The states of the parts as one, each under its part's number. */
const joined = (states: readonly ObjectiveState[]): ObjectiveState =>
  Object.fromEntries(
    states.flatMap((state, k) => Object.entries(state).map(([name, value]) => [`${k}.${name}`, value])),
  );

const part = (state: ObjectiveState, k: number): ObjectiveState =>
  Object.fromEntries(
    Object.entries(state).flatMap(([name, value]) =>
      name.startsWith(`${k}.`) ? [[name.slice(`${k}.`.length), value]] : [],
    ),
  );
