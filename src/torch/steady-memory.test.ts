import { afterAll, beforeAll, expect, test } from "vitest";
import { type Children, compileForChildren } from "./testing/child.ts";

let children: Children;
beforeAll(() => {
  children = compileForChildren();
});
afterAll(() => children.remove());

/** A model of 25 M parameters, most of them in its embedding, on batches of changing size. */
const training = `
  import { backward, customFunction, liveTensors, manualSeed, noGrad, ops, scope } from "./dist/torch/index.js";
  manualSeed(1);
  const make = (shape) => { const w = ops.randn(shape).mul(0.05).detach(); w.requiresGrad = true; return w; };
  const [embedding, up, head] = scope(() => [make([48000, 512]), make([1024, 512]), make([100, 1024])]);
  const weights = [embedding, up, head];
  const moments = scope(() => weights.flatMap((w) => [ops.zeros_like(w), ops.zeros_like(w)]));
  const square = (x) => customFunction({
    inputs: [x],
    forward: () => ({ output: x.mul(x), saved: [x] }),
    backward: ([grad], [kept]) => [grad.mul(kept).mul(2)],
  });
  const figures = {};
  for (let step = 1; step <= 200; step++) {
    scope(() => {
      const rows = 100 + (step * 37) % 100;
      const x = ops.embedding(embedding, ops.randint(48000, [rows], { dtype: "int64" }));
      backward(ops.linear(square(ops.linear(x, up)), head).logsumexp([1]).mean());
      noGrad(() => {
        for (const [k, w] of weights.entries()) {
          moments[2 * k].mul_(0.9).add_(w.grad, { alpha: 0.1 });
          moments[2 * k + 1].mul_(0.9).add_(w.grad.abs(), { alpha: 0.1 });
          w.add_(moments[2 * k], { alpha: -0.1 });
          w.grad = null;
        }
      });
    });
    await new Promise((turn) => setImmediate(turn));
    if (step === 20 || step === 200) figures[step] = { live: liveTensors(), rss: process.memoryUsage.rss() };
  }
  console.log(JSON.stringify(figures));
`;

test("200 steps of training: live tensors and resident memory at step 20 and step 200 differ by less than 1 %", async () => {
  const { stdout, stderr, code } = await children.run(training);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const figures = JSON.parse(stdout) as Record<string, { live: number; rss: number }>;
  expect(figures[200]?.live).toBe(figures[20]?.live);
  expect(Math.abs(figures[200]!.rss / figures[20]!.rss - 1)).toBeLessThan(0.01);
});

/** The most tensors of `elements` elements alive at once while 400 of them pass outside any scope. */
const unscoped = `
  import { liveTensors, ops } from "./dist/torch/index.js";
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  let peak = 0;
  for (let k = 0; k < 400; k++) {
    ops.zeros([Number(process.argv[2])]);
    peak = Math.max(peak, liveTensors());
    await turn();
  }
  for (let k = 0; k < 3; k++) {
    globalThis.gc();
    await turn();
  }
  console.log(JSON.stringify({ peak, live: liveTensors() }));
`;

test("tensors outside scopes are told to V8, which collects large ones in time", async () => {
  const figures = async (elements: number): Promise<{ peak: number; live: number }> =>
    JSON.parse((await children.run(unscoped, [String(elements)])).stdout);
  const large = await figures(1 << 22);
  const small = await figures(1);
  expect(large.peak).toBeLessThan(100);
  // 400 small objects give V8 no reason to collect: it is the bytes that it was told of.
  expect(small.peak).toBeGreaterThan(300);
  expect([large.live, small.live]).toEqual([0, 0]);
});
