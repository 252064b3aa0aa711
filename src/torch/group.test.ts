import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Children, compileForChildren, freePort } from "./testing/child.ts";

let children: Children;
beforeAll(() => {
  children = compileForChildren();
});
afterAll(() => children.remove());

const rank = `
  import { allGather, allReduce, broadcast, joinGroup, leaveGroup, reduceScatter, tensor, toNumbers } from "./dist/torch/index.js";
  const [rank, size, port, timeoutMs] = process.argv.slice(2).map(Number);
  try {
    joinGroup({ name: "world", host: "127.0.0.1", port, rank, size, hostsStore: rank === 0, timeoutMs });
    const own = tensor([rank + 1, 10 * (rank + 1)]);
    const said = {
      sum: toNumbers(allReduce(own, "sum", "world")),
      max: toNumbers(allReduce(own, "max", "world")),
      min: toNumbers(allReduce(own, "min", "world")),
      own: toNumbers(own),
      gathered: toNumbers(allGather(own, size, "world")),
      scattered: toNumbers(reduceScatter(own, "sum", size, "world")),
      sent: toNumbers(broadcast(own, 1, "world")),
    };
    // A second group beside the first, of the same ranks.
    joinGroup({ name: "second", host: "127.0.0.1", port: port, rank, size, hostsStore: false, timeoutMs });
    said.second = toNumbers(allReduce(tensor([rank]), "sum", "second"));
    leaveGroup("second");
    try { allReduce(own, "sum", "second"); } catch (error) { said.left = error.name; }
    said.still = toNumbers(allReduce(tensor([rank]), "sum", "world"));
    console.log(JSON.stringify(said));
  } catch (error) {
    console.log(JSON.stringify({ name: error.name, message: error.message }));
  }
`;

describe("two processes", () => {
  test("reduce, gather, scatter and broadcast over Gloo, and end cleanly with their groups open", async () => {
    const port = String(await freePort());
    const ended = await Promise.all(["0", "1"].map((own) => children.run(rank, [own, "2", port, "60000"])));
    const both = {
      sum: [3, 30],
      max: [2, 20],
      min: [1, 10],
      gathered: [1, 10, 2, 20],
      sent: [2, 20],
      second: [1],
      left: "TorchError",
      still: [1],
    };
    expect(ended.map(({ code, signal }) => [code, signal])).toEqual([
      [0, null],
      [0, null],
    ]);
    expect(ended.map(({ stdout }) => JSON.parse(stdout))).toEqual([
      { ...both, own: [1, 10], scattered: [3] },
      { ...both, own: [2, 20], scattered: [30] },
    ]);
  });

  test("a rank that never comes is a time-out, not a hang", async () => {
    const port = String(await freePort());
    const { stdout, code } = await children.run(rank, ["0", "2", port, "2000"]);
    const { name, message } = JSON.parse(stdout) as Record<string, string>;
    expect([code, name]).toEqual([0, "TorchError"]);
    expect(message).toMatch(/^joinGroup: .*(time|wait)/i);
  });

  test("a store that nobody hosts is an error", async () => {
    const port = String(await freePort());
    const { stdout, code } = await children.run(rank, ["1", "2", port, "1000"]);
    expect([code, (JSON.parse(stdout) as Record<string, string>).name]).toEqual([0, "TorchError"]);
  });
});
