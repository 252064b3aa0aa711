import { generator, noGrad, ops, scope, type Tensor } from "../torch/index.ts";

/** Consecutive rows of a flat input, with the random numbers that its elements are dropped by. */
export interface DropoutPart {
  readonly rows: number;
  /** In [0, 2^32). */
  readonly seed: number;
}

let parts: readonly DropoutPart[] | undefined;

/**
 * From now on inputs are dropped part by part, each by random numbers of its own: what falls out in a part then does not
 * depend on the others that stand beside it. Holds until the next call, through the backward as well, where activations are
 * computed again; without parts libtorch's default generator decides.
 */
export function dropBy(given: readonly DropoutPart[] | undefined): void {
  parts = given;
}

/** A seed of `seed` for one of several uses; both in [0, 2^32). */
function mixed(seed: number, use: number): number {
  let value = Math.imul(seed ^ Math.imul(use + 1, 0x9e3779b1), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 15), 0xc2b2ae35);
  return (value ^ (value >>> 13)) >>> 0;
}

/**
 * `input` [rows, features] without a share of its elements, the others in proportion larger (Srivastava et al. 2014,
 * "Dropout"). Inputs of different `site`s are dropped by different random numbers. They are drawn on the processor: those of
 * a part are the same on every device, and of a part that ends earlier the same as far as it goes.
 */
export function dropped(input: Tensor, share: number, site: number): Tensor {
  if (parts === undefined) return ops.dropout(input, share, true);
  const [rows, features] = input.shape as [number, number];
  const total = parts.reduce((sum, part) => sum + part.rows, 0);
  if (total !== rows) throw new Error(`dropout is told for ${total} rows, and the input has ${rows}`);
  const given = parts;
  const mask = noGrad(() =>
    scope(() => {
      const kept = ops.empty([rows, features], { dtype: "float32" });
      let start = 0;
      for (const part of given) {
        scope(
          () =>
            void kept
              .narrow(0, start, part.rows)
              .bernoulli_(1 - share, { generator: generator(mixed(part.seed, site)) }),
        );
        start += part.rows;
      }
      return kept.div_(1 - share).to(input.device, input.dtype);
    }),
  );
  return input.mul(mask);
}
