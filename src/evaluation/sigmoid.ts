export const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** log sigmoid(z) without overflow. */
export const logSigmoid = (z: number): number => Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z)));
