import { TorchError } from "../schema/index.ts";
import { native } from "./native.ts";
import { scope } from "./scope.ts";
import type { Tensor } from "./tensor.ts";

function withGrad<T>(enabled: boolean, body: () => T): T {
  const before = native().setGradEnabled(enabled);
  try {
    const result = body();
    if (result instanceof Promise) throw new TorchError("noGrad and enableGrad take no asynchronous body");
    return result;
  } finally {
    native().setGradEnabled(before);
  }
}

/** Runs `body` without recording for backward. */
export const noGrad = <T>(body: () => T): T => withGrad(false, body);

/** Runs `body` with recording, also inside a custom backward. */
export const enableGrad = <T>(body: () => T): T => withGrad(true, body);

let accumulating = false;

/**
 * For a custom backward: the `.grad` that what it returns for this leaf will be added to. It may add to it itself and return null,
 * so that no tensor of the leaf's size is made. Null where there is none yet, for what is no leaf, and where nothing accumulates.
 */
export const accumulatedGradient = (leaf: Tensor): Tensor | null =>
  accumulating && !leaf.disposed && leaf.isLeaf ? leaf.grad : null;

function running<T>(accumulates: boolean, engine: () => T): T {
  const before = accumulating;
  accumulating = accumulates;
  try {
    return engine();
  } finally {
    accumulating = before;
  }
}

/**
 * Accumulates d root / d leaf into `.grad` of every leaf that requires it. A root of more than one element needs its
 * own gradient.
 *
 * @throws TorchError, or whatever a custom backward threw.
 */
export function backward(
  root: Tensor | readonly Tensor[],
  gradient?: Tensor | readonly (Tensor | null)[],
  retainGraph = false,
): void {
  const roots = Array.isArray(root) ? root : [root as Tensor];
  const given =
    gradient === undefined ? roots.map(() => null) : Array.isArray(gradient) ? gradient : [gradient as Tensor];
  running(true, () => native().backward(roots, given, retainGraph));
}

/** d root / d input for each input, nothing accumulated; null where there is no path. Roots are given with their own gradients. */
export function gradients(
  root: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  seed: Tensor | null | readonly (Tensor | null)[] = null,
): (Tensor | null)[] {
  const roots = Array.isArray(root) ? root : [root as Tensor];
  const seeds = Array.isArray(seed) ? seed : [seed as Tensor | null];
  return running(false, () => native().gradients(roots, inputs, seeds));
}

export interface CustomFunction<Out extends Tensor | readonly Tensor[]> {
  /** What the result is differentiated by, in the order of the gradients that `backward` returns. */
  readonly inputs: readonly (Tensor | null)[];
  /** Computes the result without recording, and names the tensors that the backward needs. */
  forward(): { readonly output: Out; readonly saved: readonly Tensor[] };
  /**
   * Gradients of the inputs (null where none) from those of the outputs (null where none flowed). Runs without
   * recording, in a scope of its own: everything but the returned gradients is freed. Use `saved`, never a tensor
   * captured from outside, which may be gone by then.
   */
  backward(grads: readonly (Tensor | null)[], saved: readonly Tensor[]): (Tensor | null)[];
}

/** An autograd function whose backward is TypeScript. Returned outputs must be new tensors, not views of the inputs. */
export function customFunction<Out extends Tensor | readonly Tensor[]>(definition: CustomFunction<Out>): Out {
  return scope(() => {
    const { output, saved } = noGrad(() => definition.forward());
    const outputs = (Array.isArray(output) ? output : [output]) as readonly Tensor[];
    if (definition.inputs.some((input) => input?.requiresGrad))
      native().attach(outputs, definition.inputs, saved, (grads, kept) =>
        noGrad(() => definition.backward(grads, kept)),
      );
    return output;
  });
}
