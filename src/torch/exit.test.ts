import { afterAll, beforeAll, expect, test } from "vitest";
import { type Children, compileForChildren, freePort } from "./testing/child.ts";

let children: Children;
beforeAll(() => {
  children = compileForChildren();
});
afterAll(() => children.remove());

const script = `
  import { allReduce, backward, customFunction, generator, joinGroup, scope, tensor } from "./dist/torch/index.js";
  const [how, port] = process.argv.slice(2);
  const x = tensor([1, 2, 3]);
  x.requiresGrad = true;
  const make = (closure = ([grad], [kept]) => [grad.mul(kept).mul(2)]) =>
    customFunction({ inputs: [x], forward: () => ({ output: x.mul(x), saved: [x] }), backward: closure }).sum();
  globalThis.kept = [make(), scope(make), generator(3)];
  joinGroup({ name: "g", host: "127.0.0.1", port: Number(port), rank: 0, size: 1, hostsStore: true, timeoutMs: 20000 });
  globalThis.kept.push(allReduce(x.detach(), "sum", "g"));
  if (how === "in a scope") scope(() => { globalThis.more = make(); process.exit(7); });
  if (how === "in a backward") backward(make(() => { globalThis.more = make(); process.exit(8); }));
  if (how === "by an error") throw new Error("nobody catches it");
  if (how === "by an error in a backward") backward(make(() => { throw new Error("nobody catches it"); }));
  process.on("exit", () => process.stdout.write("end"));
`;

test.each([
  ["at the end", 0],
  ["in a scope", 7],
  ["in a backward", 8],
  ["by an error", 1],
  ["by an error in a backward", 1],
])("a process with tensors, closures and a group alive exits %s with %i, and does not crash", async (how, status) => {
  const { code, signal, stdout, stderr } = await children.run(script, [how, String(await freePort())]);
  expect([code, signal]).toEqual([status, null]);
  expect(stdout).toBe(status === 0 ? "end" : "");
  if (status !== 1) expect(stderr).toBe("");
  else expect(stderr).toContain("nobody catches it");
});

const threads = `
  import { once } from "node:events";
  import { isMainThread, Worker } from "node:worker_threads";
  import { backward, customFunction, liveTensors, scope, tensor } from "./dist/torch/index.js";
  const compute = () => scope(() => {
    const x = tensor([1, 2, 3]);
    x.requiresGrad = true;
    backward(customFunction({ inputs: [x], forward: () => ({ output: x.mul(x), saved: [x] }), backward: ([grad], [kept]) => [grad.mul(kept).mul(2)] }).sum());
    return x.grad.sum().item();
  });
  globalThis.kept = tensor([isMainThread ? 1 : 10]);
  if (isMainThread)
    scope(() => { tensor([5]); });
  if (isMainThread) {
    const both = [new Worker(new URL(import.meta.url)), new Worker(new URL(import.meta.url))];
    let sum = 0;
    for (let k = 0; k < 50; k++) sum += compute();
    const codes = await Promise.all(both.map(async (worker) => (await once(worker, "exit"))[0]));
    console.log(sum, codes.join(), compute(), kept.item(), liveTensors());
  } else for (let k = 0; k < 50; k++) compute();
`;

test("threads have tensors, scopes and closures of their own, and leave the others theirs when they end", async () => {
  const { code, stdout, stderr } = await children.run(threads);
  expect([code, stderr, stdout]).toEqual([0, "", "600 0,0 12 1 1\n"]);
});
