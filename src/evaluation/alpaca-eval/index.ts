export { type Compared, type Gamed, type LengthControlled, lengthControlled } from "./length-control.ts";
export { type WinRate, winRate } from "./win-rate.ts";
