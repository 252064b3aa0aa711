import type { Generator } from "./native.ts";
import { native } from "./native.ts";
import type { Tensor } from "./tensor.ts";

/** Seeds libtorch's default generators, on every device. */
export const manualSeed = (seed: number): void => native().manualSeed(seed);

/** State of the device's default generator, to be restored by `setRandomState`. */
export const randomState = (device = "cpu"): Tensor => native().randomState(device);

/** @throws TorchError when `state` is not a state of that device's generator. */
export const setRandomState = (state: Tensor, device = "cpu"): void => native().setRandomState(state, device);

/** A generator of its own, for operators that take one. */
export const generator = (seed: number): Generator => native().generator(seed);
