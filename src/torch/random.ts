import type { Generator } from "./native.ts";
import { native } from "./native.ts";
import type { Tensor } from "./tensor.ts";

/** Seeds libtorch's default generators, on every device. */
export const manualSeed = (seed: number): void => native().manualSeed(seed);

/** State of the default CPU generator, to be restored by `setRandomState`. */
export const randomState = (): Tensor => native().randomState();

export const setRandomState = (state: Tensor): void => native().setRandomState(state);

/** A generator of its own, for operators that take one. */
export const generator = (seed: number): Generator => native().generator(seed);
