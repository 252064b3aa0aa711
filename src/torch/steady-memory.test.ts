import { afterAll, beforeAll, expect, test } from "vitest";
import { type Children, compileForChildren } from "./testing/child.ts";

let children: Children;
beforeAll(() => {
  children = compileForChildren();
});
afterAll(() => children.remove());

const training = `
  import { backward, customFunction, liveTensors, manualSeed, noGrad, ops, scope, tensorMemory } from "./dist/torch/index.js";
  manualSeed(1);
  const make = (k) => { const w = ops.randn([2048, 2048]).mul(0.02 + 0.01 * k).detach(); w.requiresGrad = true; return w; };
  const weights = scope(() => [0, 1, 2].map(make));
  const moments = scope(() => weights.map((w) => [ops.zeros_like(w), ops.zeros_like(w)]));
  const square = (x) => customFunction({
    inputs: [x],
    forward: () => ({ output: x.mul(x), saved: [x] }),
    backward: ([grad], [kept]) => [grad.mul(kept).mul(2)],
  });
  const figures = {};
  for (let step = 1; step <= 200; step++) {
    scope(() => {
      const rows = 16 + 2 * ((step * 7) % 16);
      let x = ops.randn([rows, 2048]);
      for (const w of weights) x = square(ops.linear(x, w).tanh());
      backward(x.mean());
      noGrad(() => {
        for (const [k, w] of weights.entries()) {
          const [first, second] = moments[k];
          first.mul_(0.9).add_(w.grad, { alpha: 0.1 });
          second.mul_(0.9).addcmul_(w.grad, w.grad, { value: 0.1 });
          w.addcdiv_(first, second.sqrt().add_(1e-6), { value: -1e-4 });
          w.grad = null;
        }
      });
    });
    await new Promise((turn) => setImmediate(turn));
    if (step === 20 || step === 200)
      figures[step] = { live: liveTensors(), rss: process.memoryUsage.rss(), memory: tensorMemory() };
  }
  console.log(JSON.stringify(figures));
`;

/** V8 grows and shrinks its own young generation by up to 48 MB; held small, what is measured is libtorch's part. */
test("200 steps of training: live tensors and resident memory at step 20 and step 200 differ by less than 1 %", async () => {
  const { stdout, stderr, code } = await children.run(training, [], { NODE_OPTIONS: "--max-semi-space-size=1" });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const figures = JSON.parse(stdout) as Record<string, { live: number; rss: number; memory: object }>;
  expect(figures[200]?.live).toBe(figures[20]?.live);
  expect(figures[200]?.memory).toEqual(figures[20]?.memory);
  expect(Math.abs(figures[200]!.rss / figures[20]!.rss - 1)).toBeLessThan(0.01);
}, 300_000);

/** The most tensors of `elements` elements alive at once while 400 of them pass outside any scope. */
const unscoped = `
  import { liveTensors, ops } from "./dist/torch/index.js";
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  // What loading left behind would have V8 collect at some moment of the loop.
  ops.zeros([1]).dispose();
  globalThis.gc();
  await turn();
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
  expect(small.peak).toBe(400);
  expect([large.live, small.live]).toEqual([0, 0]);
});

/**
 * Between two turns of the collector JavaScript holds small objects, one a tensor. They must not lie between the large
 * blocks, or freed blocks never join: what is resident would grow to several times what tensors need.
 */
const manySizes = `
  import { ops, scope, tensorMemory } from "./dist/torch/index.js";
  ops.zeros([1]);
  const before = process.memoryUsage.rss();
  for (let step = 1; step <= 60; step++) {
    scope(() => {
      const rows = 1000 + (step * 377) % 1000;
      const held = [];
      for (let k = 0; k < 200; k++) {
        held.push(ops.ones([rows, 64]));
        for (let small = 0; small < 20; small++) ops.ones([4]);
      }
    });
    await new Promise((turn) => setImmediate(turn));
  }
  console.log(JSON.stringify({ ...tensorMemory(), resident: process.memoryUsage.rss() - before }));
`;

test("with tensors of ever new sizes, memory stays near what is needed at once", async () => {
  const { stdout } = await children.run(manySizes);
  const { used, kept, peak, resident } = JSON.parse(stdout) as Record<string, number>;
  // 200 tensors of at most 2000 x 64 floats, rounded up by at most an eighth.
  expect(peak).toBeGreaterThanOrEqual(200 * 1999 * 64 * 4 * 0.99);
  expect(peak).toBeLessThan(200 * 2000 * 64 * 4 * 1.2);
  expect(used).toBe(0);
  expect(kept).toBeLessThanOrEqual(1.125 * peak! + (64 << 20));
  expect(resident).toBeLessThan(1.5 * peak! + (64 << 20));
});

const returned = `
  import { ops, scope, tensorMemory, trimMemory } from "./dist/torch/index.js";
  const held = ops.ones([1 << 20]);
  scope(() => ops.ones([1 << 26]).add(1).sum().item());
  const before = { ...tensorMemory(), rss: process.memoryUsage.rss() };
  trimMemory();
  console.log(JSON.stringify([before, { ...tensorMemory(), rss: process.memoryUsage.rss() }, held.sum().item()]));
`;

test("trimMemory gives back what is free, and leaves what is in use", async () => {
  const { stdout } = await children.run(returned);
  const [before, after, sum] = JSON.parse(stdout) as [Record<string, number>, Record<string, number>, number];
  expect(before.peak).toBeGreaterThanOrEqual(2 * (256 << 20) + (4 << 20));
  expect(before.kept).toBeGreaterThanOrEqual(256 << 20);
  expect(after).toMatchObject({ used: 4 << 20, kept: 0, peak: 4 << 20 });
  expect(before.rss! - after.rss!).toBeGreaterThan(200 << 20);
  expect(sum).toBe(1 << 20);
});
