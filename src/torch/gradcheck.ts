import { TorchError } from "../schema/index.ts";
import { gradients, noGrad } from "./autograd.ts";
import * as ops from "./ops.generated.ts";
import { scope } from "./scope.ts";
import type { Tensor } from "./tensor.ts";
import { toNumbers } from "./tensor.ts";

export interface GradcheckOptions {
  /** Half the distance of the two points of a difference. */
  readonly epsilon?: number;
  readonly absolute?: number;
  readonly relative?: number;
}

/**
 * Holds the gradients of `compute` to central finite differences, element by element, for the sum of its outputs
 * weighted by fixed irregular numbers. Inputs that require gradients must be float64.
 *
 * @returns the largest deviation.
 * @throws TorchError naming the first element that deviates by more than `absolute + relative * |difference|`.
 */
export function gradcheck(
  compute: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  { epsilon = 1e-6, absolute = 1e-6, relative = 1e-5 }: GradcheckOptions = {},
): number {
  const weighted = (): Tensor => {
    const result = compute(...inputs);
    const outputs = (Array.isArray(result) ? result : [result]) as readonly Tensor[];
    const terms = outputs.map((output, k) => {
      const weights = ops.arange(1, output.elements + 1, { dtype: "float64", device: output.device }).mul(k + 1.7);
      return output.to("float64").mul(weights.sin().view(output.shape)).sum();
    });
    return terms.reduce((sum, term) => sum.add(term));
  };
  const sought = inputs.flatMap((input, index) => (input.requiresGrad ? [{ input, index }] : []));
  for (const { input, index } of sought)
    if (input.dtype !== "float64") throw new TorchError(`gradcheck: input ${index} is ${input.dtype}, not float64`);
  const analytic = scope(() =>
    gradients(
      weighted(),
      sought.map(({ input }) => input),
    ).map((gradient) => (gradient === null ? undefined : toNumbers(gradient))),
  );
  const at = (input: Tensor, element: number, shift: number): number =>
    scope(() =>
      noGrad(() => {
        const cell = input.detach().view([-1]).narrow(0, element, 1);
        const before = cell.clone();
        cell.add_(shift);
        try {
          return Number(weighted().item());
        } finally {
          cell.copy_(before);
        }
      }),
    );
  let worst = 0;
  for (const [order, { input, index }] of sought.entries())
    for (let element = 0; element < input.elements; element += 1) {
      const numeric = (at(input, element, epsilon) - at(input, element, -epsilon)) / (2 * epsilon);
      const given = analytic[order]?.[element] ?? 0;
      const deviation = Math.abs(given - numeric);
      if (!(deviation <= absolute + relative * Math.abs(numeric)))
        throw new TorchError(
          `gradcheck: input ${index}, element ${element}: backward gives ${given}, finite differences ${numeric}`,
        );
      worst = Math.max(worst, deviation);
    }
  return worst;
}
