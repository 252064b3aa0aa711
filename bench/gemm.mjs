// The rate of matrix products, by the library that the training takes on this machine, in the shapes that a training step of the model has: for each weight matrix the
// forward, the gradient of the input and the gradient of the weight.
//   node bench/gemm.mjs --model FOLDER [--precision fp32|bf16] [--micro-batch-tokens 2048] [--seconds 0.4]

import { readModelFiles } from "amalgam/models";
import { linear, product } from "amalgam/nn";
import { noGrad, ops, scope } from "amalgam/torch";
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
// Logits are computed in chunks of 2^24 elements; see src/scoring/token-log-probs.ts.
const chunk = Math.max(64, Math.floor(2 ** 24 / c.vocabularySize));
const shapes = [
  { matrix: "q, o", rows: tokens, inner: c.hiddenSize, columns: c.heads * c.headDim },
  { matrix: "k, v", rows: tokens, inner: c.hiddenSize, columns: c.keyValueHeads * c.headDim },
  { matrix: "gate, up", rows: tokens, inner: c.hiddenSize, columns: c.intermediateSize },
  { matrix: "down", rows: tokens, inner: c.intermediateSize, columns: c.hiddenSize },
  { matrix: "output", rows: chunk, inner: c.hiddenSize, columns: c.vocabularySize },
];
const products = {
  forward: ({ x, w }) => linear(x, w),
  "input gradient": ({ g, w }) => product(g, w),
  "weight gradient": ({ g, x }) => product(g.t(), x),
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
      return Object.entries(products).map(([pass, call]) => ({
        matrix,
        pass,
        shape: [rows, inner, columns],
        gflops: (2 * rows * inner * columns) / best(() => call(operands)) / 1e9,
      }));
    }),
  ),
);
report({ samples: [], rates, best: Math.max(...rates.map(({ gflops }) => gflops)) });
