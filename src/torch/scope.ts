import { native } from "./native.ts";
import type { Tensor } from "./tensor.ts";
import { isTensor } from "./tensor.ts";

/** Tensors in a value: itself, or inside (nested) arrays and plain objects. */
function collect(value: unknown, found: Tensor[]): Tensor[] {
  if (value === null || typeof value !== "object") return found;
  if (isTensor(value)) found.push(value);
  else if (value instanceof Map) for (const inner of value.values()) collect(inner, found);
  else if (!ArrayBuffer.isView(value)) for (const inner of Object.values(value)) collect(inner, found);
  return found;
}

/**
 * Runs `body` and frees every tensor made in it, except those in what it returns (a tensor, or arrays, maps and plain
 * objects of them); these belong to the scope around it. What autograd needs for a later backward stays alive.
 * `body` must be synchronous.
 */
export function scope<T>(body: () => T): T {
  const addon = native();
  addon.openScope();
  let result: T;
  try {
    result = body();
  } catch (error) {
    addon.closeScope([]);
    throw error;
  }
  addon.closeScope(collect(result, []));
  return result;
}

/** Number of tensors that JavaScript holds alive. */
export const liveTensors = (): number => native().liveTensors();
