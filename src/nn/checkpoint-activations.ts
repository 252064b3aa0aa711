import type { Tensor } from "../torch/index.ts";
import { customFunction, enableGrad, gradients, randomState, setRandomState } from "../torch/index.ts";

/** Runs `body` with the generators of `devices` at the given states, and puts them back where they were. */
function withRandomStates<T>(devices: readonly string[], states: readonly Tensor[], body: () => T): T {
  const before = devices.map((device) => randomState(device));
  const set = (to: readonly Tensor[]) => {
    for (const [k, device] of devices.entries()) setRandomState(to[k]!, device);
  };
  set(states);
  try {
    return body();
  } finally {
    set(before);
  }
}

/**
 * body(...inputs), keeping nothing of it but the inputs: the backward computes it again, with the random state put back
 * so that dropout falls on the same elements, and differentiates that (Chen et al. 2016, "Training Deep Nets with
 * Sublinear Memory Cost"). Gradients are those of the plain call.
 *
 * @param body gives new tensors and changes nothing in place.
 * @param parameters all tensors besides the inputs that `body` is to be differentiated by; alive until the backward.
 */
export function checkpointed<Out extends Tensor | readonly Tensor[]>(
  body: (...inputs: Tensor[]) => Out,
  inputs: Tensor | readonly Tensor[],
  parameters: readonly Tensor[],
): Out {
  const given = (Array.isArray(inputs) ? inputs : [inputs]) as readonly Tensor[];
  const wanted = given.map((input) => input.requiresGrad);
  const weights = parameters.filter((parameter) => parameter.requiresGrad);
  const devices = [...new Set(["cpu", ...given.map((input) => input.device)])];
  return customFunction({
    inputs: [...given.map((input, k) => (wanted[k] ? input : null)), ...weights],
    forward() {
      const states = devices.map((device) => randomState(device));
      return { output: body(...given), saved: [...given, ...weights, ...states] };
    },
    backward(grads, saved) {
      const copies = saved.slice(0, given.length).map((input, k) => {
        const copy = input.detach();
        if (wanted[k]) copy.requiresGrad = true;
        return copy;
      });
      const states = saved.slice(given.length + weights.length);
      const output = withRandomStates(devices, states, () => enableGrad(() => body(...copies)));
      const outputs = (Array.isArray(output) ? output : [output]) as readonly Tensor[];
      const reached = outputs.flatMap((root, k) => {
        const grad = grads[k];
        return grad && root.requiresGrad ? [{ root, grad }] : [];
      });
      const found = gradients(
        reached.map(({ root }) => root),
        [...copies.filter((_, k) => wanted[k]), ...weights],
        reached.map(({ grad }) => grad),
      );
      const ofInputs = wanted.map((want) => (want ? found.shift()! : null));
      return [...ofInputs, ...found];
    },
  });
}
