import type { Tensor } from "../torch/index.ts";

/** cap · tanh(x / cap), which keeps x within ±cap; null caps nothing. */
export const softcap = (x: Tensor, cap: number | null): Tensor => (cap === null ? x : x.div(cap).tanh().mul(cap));
