export type { FoldOrder } from "./folds.ts";
export { type Compared, type Gamed, type LengthControlled, lengthControlled } from "./length-control.ts";
export { isSwitched } from "./order.ts";
export { draw, forModel, type Label, labelIn, labels, preferenceOf, type TokenLogProb } from "./preference.ts";
export { type WinRate, winRate } from "./win-rate.ts";
