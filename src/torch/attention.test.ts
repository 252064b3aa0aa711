import { afterAll, beforeAll, expect, test } from "vitest";
import { type Children, compileForChildren } from "./testing/child.ts";
import { hasInstructions, instructionSets } from "./testing/instruction-sets.ts";

let children: Children;
beforeAll(() => {
  children = compileForChildren();
});
afterAll(() => children.remove());

/** Largest deviation of the output and of each gradient in fp32 from those in fp64, as shares of the largest element. */
const deviations = `
  import { manualSeed, native, ops } from "./dist/torch/index.js";
  manualSeed(3);
  const segments = Int32Array.from([0, 70, -1, 70, 130, 0, 200, 5, 0, 205, 33, -1]);
  const exact = [[238, 6, 24], [238, 2, 24], [238, 2, 24], [238, 6 * 24]].map((shape) => ops.randn(shape, { dtype: "float64" }));
  const run = ([q, k, v, grad], window) => {
    const [out, lse] = native().attendBundles(q, k, v, segments, 0.3, window);
    return [out, lse, ...native().attendBundlesBackward(grad, out, lse, q, k, v, segments, 0.3, window)];
  };
  const found = [0, 50].flatMap((window) => {
    const want = run(exact, window);
    const got = run(exact.map((x) => x.to("float32")), window);
    return want.map((x, k) => got[k].to("float64").sub(x).abs().max().item() / x.abs().max().item());
  });
  console.log(JSON.stringify(found));
`;

for (const capability of instructionSets)
  test.runIf(hasInstructions(capability))(
    `attention and its gradients are exact but for rounding with the instructions of ATEN_CPU_CAPABILITY=${capability}`,
    async () => {
      const { stdout, stderr } = await children.run(deviations, [], { ATEN_CPU_CAPABILITY: capability });
      expect(stderr).toBe("");
      const found = JSON.parse(stdout) as number[];
      expect(found).toHaveLength(10);
      expect(Math.max(...found)).toBeLessThan(2e-6);
    },
  );

const refusals = `
  import { native, ops } from "./dist/torch/index.js";
  const attempt = (q, k, v, segments) => {
    try {
      native().attendBundles(q, k, v, Int32Array.from(segments), 1, 0);
      return "";
    } catch (error) {
      return error.name + " " + error.message;
    }
  };
  const x = (heads, dtype = "float32") => ops.zeros([4, heads, 2], { dtype });
  console.log(JSON.stringify([
    attempt(x(2), x(1), x(1), [0, 4, -1]),
    attempt(x(2), x(1), x(1), [0, 3, -1]),
    attempt(x(2), x(1), x(1), [0, 2, -1, 3, 1, 0]),
    attempt(x(2), x(1), x(1), [0, 2, -1, 2, 2, 1]),
    attempt(x(3), x(2), x(2), [0, 4, -1]),
    attempt(x(2), x(1, "float64"), x(1), [0, 4, -1]),
    attempt(x(2, "int64"), x(1, "int64"), x(1, "int64"), [0, 4, -1]),
  ]));
`;

test("what doesn't fit together is refused", async () => {
  const [fine, ...refused] = JSON.parse((await children.run(refusals)).stdout) as string[];
  expect(fine).toBe("");
  expect(refused).toEqual([
    expect.stringMatching(/^TorchError attendBundles: the segments have 3 tokens, the queries 4/),
    expect.stringMatching(/^TorchError attendBundles: the segments don't follow one another/),
    expect.stringMatching(/^TorchError attendBundles: segment 1 has no prompt before it/),
    expect.stringMatching(/don't fit together/),
    expect.stringMatching(/don't fit together/),
    expect.stringMatching(/no kernel for tensors of Long/),
  ]);
});
