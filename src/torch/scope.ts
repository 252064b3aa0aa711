import { TorchError } from "../schema/index.ts";
import { native } from "./native.ts";
import type { Tensor } from "./tensor.ts";
import { isTensor } from "./tensor.ts";

/** Tensors in a value: itself, or inside (nested) arrays, maps, sets and plain objects. */
function collect(value: unknown, found: Tensor[], seen = new Set<object>()): Tensor[] {
  if (value === null || typeof value !== "object") return found;
  if (isTensor(value)) found.push(value);
  else if (!ArrayBuffer.isView(value) && !seen.has(value)) {
    seen.add(value);
    const inside = value instanceof Map || value instanceof Set ? value.values() : Object.values(value);
    for (const inner of inside) collect(inner, found, seen);
  }
  return found;
}

/**
 * Runs `body` and frees every tensor made in it, except those in what it returns (a tensor, or arrays, maps and plain
 * objects of them); these belong to the scope around it. What autograd needs for a later backward stays alive.
 *
 * @throws TorchError when `body` is asynchronous.
 */
export function scope<T>(body: () => T): T {
  const addon = native();
  addon.openScope();
  let result: T;
  try {
    result = body();
    if (result instanceof Promise)
      throw new TorchError("scope: the body is asynchronous; tensors of a later turn would escape it");
  } catch (error) {
    addon.closeScope([]);
    throw error;
  }
  addon.closeScope(collect(result, []));
  return result;
}

/** Number of tensors that JavaScript holds alive. */
export const liveTensors = (): number => native().liveTensors();
