import { type Attend, type Decoder, nextLogits } from "../models/index.ts";
import { ops, type Tensor } from "../torch/index.ts";

/** Sizes of steps: from each of these on, and up to the next, multiples of the second number. */
const grid: readonly (readonly [from: number, step: number])[] = [
  [1024, 256],
  [512, 64],
  [128, 32],
  [16, 16],
];

/**
 * Rows that a product of `rows` rows is filled up to. oneDNN, which computes in bfloat16, keeps half a megabyte and more for each number
 * of rows that it ever met with each matrix, and takes ten milliseconds to prepare for it; a server's steps meet all numbers. It works on
 * 16 rows at once, so that these cost next to nothing.
 */
export function filledRows(rows: number): number {
  for (const [from, step] of grid) if (rows > from) return Math.ceil(rows / step) * step;
  return rows <= 1 ? rows : 2 ** Math.ceil(Math.log2(rows));
}

/** How many rows are added to `rows`, where the computation is oneDNN's. */
export const fillingOf = ({ dtype, device }: Pick<Tensor, "dtype" | "device">, rows: number): number =>
  dtype === "bfloat16" && device === "cpu" ? filledRows(rows) - rows : 0;

/** Attention of `count` tokens, in a batch that is filled up with others: what is attended to for those is 0. */
export function attendFirst(attend: Attend, count: number, filling: number): Attend {
  if (filling === 0) return attend;
  return (layer, ...tokens) => {
    const [q, k, v] = tokens.map((all) => all.narrow(0, 0, count)) as [Tensor, Tensor, Tensor];
    return filled(attend(layer, q, k, v), filling);
  };
}

/** `nextLogits`, computed for a number of rows that is met often. */
export function logitsOf(model: Decoder, hidden: Tensor): Tensor {
  const rows = hidden.shape[0]!;
  const filling = fillingOf(hidden, rows);
  return filling === 0 ? nextLogits(model, hidden) : nextLogits(model, filled(hidden, filling)).narrow(0, 0, rows);
}

/** With rows of zeros below. */
const filled = (rows: Tensor, filling: number): Tensor =>
  ops.constant_pad_nd(rows, [...rows.shape.slice(1).flatMap(() => [0, 0]), 0, filling]);
