import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { backward, ops, type ProfiledCall, span, startProfile, stopProfile } from "../torch/index.ts";
import { ownTimes, profileTable, stepProfiler } from "./profile.ts";

const call = (name: string, start: number, end: number): ProfiledCall => ({ name, shapes: "", start, end });

test("a call's own time is what its own calls did not take", () => {
  const calls = [
    call("step", 0, 10_500),
    call("forward", 1000, 4000),
    call("mm", 1500, 2500),
    call("mm", 2500, 3000),
    call("backward", 4000, 9000),
    call("mm", 5000, 8000),
    call("add", 6000, 7000),
  ];
  expect(ownTimes(calls)).toEqual([
    { name: "mm", calls: 3, own: 3.5 },
    { name: "step", calls: 1, own: 2.5 },
    { name: "backward", calls: 1, own: 2 },
    { name: "forward", calls: 1, own: 1.5 },
    { name: "add", calls: 1, own: 1 },
  ]);
});

test("operators of forward and backward are recorded with their shapes, inside of the stretch that called them", () => {
  const [a, b] = [ops.randn([3, 4]), ops.randn([4, 5])];
  a.requiresGrad = true;
  startProfile();
  const result = span("forward", () => a.mm(b).sum());
  span("backward", () => backward(result));
  const calls = stopProfile();
  const found = (name: string) => calls.filter((one) => one.name === name);
  const [forward] = found("forward");
  const products = found("aten::mm");
  expect(products).toHaveLength(2);
  expect(products[0]!.shapes).toBe("[3,4] [4,5]");
  expect(products[0]!.start).toBeGreaterThanOrEqual(forward!.start);
  expect(products[0]!.end).toBeLessThanOrEqual(forward!.end);
  expect(products[1]!.start).toBeGreaterThanOrEqual(found("backward")[0]!.start);
  a.mm(b);
  expect(stopProfile()).toEqual([]);
});

test("two steps are recorded, not the first of several, and stand in a trace and a table", () => {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-profile-"));
  try {
    const file = join(folder, "in", "trace.json");
    const told: string[] = [];
    const profiler = stepProfiler(file, 5, (line) => void told.push(line));
    for (let step = 0; step < 5; step++) {
      profiler.begin();
      span(`step ${step}`, () => ops.randn([2 + step, 2]));
      profiler.end();
    }
    const { traceEvents } = JSON.parse(readFileSync(file, "utf8")) as { traceEvents: { name: string; ts: number }[] };
    expect(traceEvents.map(({ name }) => name).filter((name) => name.startsWith("step"))).toEqual([
      "step",
      "step 1",
      "step",
      "step 2",
    ]);
    expect(traceEvents[0]!.ts).toBe(0);
    // Line by line: what is told is one line, or it is not printed as it stands.
    expect(told.filter((line) => /^where +calls/.test(line))).toHaveLength(1);
    expect(told).toContainEqual(expect.stringMatching(/^aten::randn +2 +\S+ +\S+%$/));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the table sums up what is too little to be shown", () => {
  const calls = [call("big", 0, 1e6), call("small", 1e6, 1e6 + 10), call("tiny", 1e6 + 10, 1e6 + 20)];
  expect(profileTable(calls)).toContainEqual(expect.stringMatching(/2 others\s+2\s+0\.0\s+0\.0%/));
});
