// The rate of matrix products in the shapes that a training step of the model has: for each weight matrix the forward, the gradient of
// the input and the gradient of the weight, each by the fastest way there is (what the training takes, the BLAS, oneDNN).
//   node bench/gemm.mjs --model FOLDER [--precision fp32|bf16] [--micro-batch-tokens 2048] [--seconds 0.4]

import { readModelFiles } from "amalgam/models";
import { product } from "amalgam/nn";
import { native, noGrad, ops, scope } from "amalgam/torch";
import { options } from "./lib/options.mjs";
import { report } from "./lib/worker.mjs";

const {
  model: folder,
  precision,
  seconds,
  ...asked
} = options({
  model: "",
  precision: "fp32",
  "micro-batch-tokens": 2048,
  seconds: 0.4,
});
const { decoderConfig: c } = await readModelFiles(folder, "model");
const dtype = precision === "bf16" ? "bfloat16" : "float32";
const tokens = asked["micro-batch-tokens"];
// Logits are computed in chunks of 2^25 elements; see src/scoring/token-log-probs.ts.
const chunk = Math.max(64, Math.floor(2 ** 25 / c.vocabularySize));
const shapes = [
  { matrix: "q, o", rows: tokens, inner: c.hiddenSize, columns: c.heads * c.headDim },
  { matrix: "k, v", rows: tokens, inner: c.hiddenSize, columns: c.keyValueHeads * c.headDim },
  { matrix: "gate, up", rows: tokens, inner: c.hiddenSize, columns: c.intermediateSize },
  { matrix: "down", rows: tokens, inner: c.intermediateSize, columns: c.hiddenSize },
  { matrix: "output", rows: chunk, inner: c.hiddenSize, columns: c.vocabularySize },
];
const oneDnn = native().op("mkldnn::_linear_pointwise");
const ways = { taken: product, blas: (a, b) => a.mm(b), onednn: (a, b) => oneDnn(a, b.t(), null, "none", [], "") };
const factors = {
  forward: ({ x, w }) => [x, w.t()],
  "input gradient": ({ g, w }) => [g, w],
  "weight gradient": ({ g, x }) => [g.t(), x],
};

/** Seconds of the fastest of the calls that fit into `seconds`; three at least. */
function best(call) {
  let fastest = Number.POSITIVE_INFINITY;
  const end = performance.now() + seconds * 1000;
  for (let done = 0; done < 3 || performance.now() < end; done++) {
    const start = performance.now();
    scope(() => void call());
    fastest = Math.min(fastest, performance.now() - start);
  }
  return fastest / 1000;
}

const rates = noGrad(() =>
  shapes.flatMap(({ matrix, rows, inner, columns }) =>
    scope(() => {
      const operands = {
        x: ops.randn([rows, inner]).to(dtype),
        w: ops.randn([columns, inner]).to(dtype),
        g: ops.randn([rows, columns]).to(dtype),
      };
      return Object.entries(factors).map(([pass, factorsOf]) => {
        const [a, b] = factorsOf(operands);
        const flops = 2 * rows * inner * columns;
        const each = Object.entries(ways).map(([way, multiply]) => [way, flops / best(() => multiply(a, b)) / 1e9]);
        return {
          matrix,
          pass,
          shape: [rows, inner, columns],
          ways: Object.fromEntries(each),
          gflops: Math.max(...each.map(([, rate]) => rate)),
        };
      });
    }),
  ),
);
report({ samples: [], rates, best: Math.max(...rates.map(({ gflops }) => gflops)) });
