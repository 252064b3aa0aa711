import type { GroupOptions } from "./native.ts";
import { native, op } from "./native.ts";
import type { Tensor } from "./tensor.ts";

const reduce = op<(x: Tensor, how: string, group: string) => Tensor>("_c10d_functional::all_reduce");
const gather = op<(x: Tensor, size: number, group: string) => Tensor>("_c10d_functional::all_gather_into_tensor");
const scatter = op<(x: Tensor, how: string, size: number, group: string) => Tensor>(
  "_c10d_functional::reduce_scatter_tensor",
);
const spread = op<(x: Tensor, source: number, group: string) => Tensor>("_c10d_functional::broadcast");
const wait = op<(x: Tensor) => Tensor>("_c10d_functional::wait_tensor");

/**
 * Joins the process group `name` over TCP (c10d's store, Gloo); returns when all `size` ranks are there.
 *
 * @throws TorchError when the store can't be reached within the time-out.
 */
export const joinGroup = (options: GroupOptions): void => native().joinGroup(options);

export const leaveGroup = (name: string): void => native().leaveGroup(name);

/** Element-wise reduction over all ranks; a new tensor, equal on every rank. */
export const allReduce = (x: Tensor, how: "sum" | "avg" | "max" | "min", group: string): Tensor =>
  wait(reduce(x, how, group));

/** The ranks' tensors one after another along the first dimension. */
export const allGather = (x: Tensor, size: number, group: string): Tensor => wait(gather(x, size, group));

/** Sum over the ranks, of which each keeps its share of the first dimension. */
export const reduceScatter = (x: Tensor, how: "sum" | "avg", size: number, group: string): Tensor =>
  wait(scatter(x, how, size, group));

/** The tensor of rank `source` on every rank. */
export const broadcast = (x: Tensor, source: number, group: string): Tensor => wait(spread(x, source, group));
