/** Weights of the matrices of all layers, and of the output matrix. */
export function matrixWeights({
  hiddenSize: h,
  intermediateSize: i,
  headDim: d,
  heads,
  keyValueHeads,
  layers,
  vocabularySize,
}) {
  const layer = h * heads * d * 2 + h * keyValueHeads * d * 2 + h * i * 3;
  return { layers: layer * layers.length, head: h * vocabularySize };
}

const triangle = (n) => (n * (n + 1)) / 2;

/** Pairs of query and key that see each other, where every response sees the prompt once computed, and itself. */
const visiblePairs = ({ prompt, responses }) =>
  triangle(prompt.length) + responses.reduce((sum, y) => sum + triangle(y.length) + y.length * prompt.length, 0);

/**
 * Floating point operations that a training step on these bundles needs: 2 for each weight and token in the forward, 4 in
 * the backward; for attention 4 (two products) for each visible pair and dimension of a head in the forward and twice that
 * in the backward; the output matrix for scored tokens only. What is computed a second time in the backward is kept apart:
 * the logits, and the attention scores.
 */
export function trainingFlops(config, bundles) {
  const { layers, head } = matrixWeights(config);
  const sum = (of) => bundles.reduce((total, bundle) => total + of(bundle), 0);
  const scored = sum(({ responses }) => responses.reduce((total, y) => total + y.length, 0));
  const tokens = scored + sum(({ prompt }) => prompt.length);
  const attention = 4 * sum(visiblePairs) * config.heads * config.headDim * config.layers.length;
  const needed = 6 * layers * tokens + 3 * attention + 6 * head * scored;
  return {
    tokens,
    scored,
    needed,
    layers: 6 * layers * tokens,
    attention: 3 * attention,
    head: 6 * head * scored,
    withLogitsAgain: needed + 2 * head * scored,
    withAllAgain: needed + 2 * head * scored + attention / 2,
  };
}
