import { expect, test } from "vitest";
import { AmalgamError, ModelError } from "../schema/index.ts";
import { tensor, toNumbers } from "../torch/index.ts";
import { loadStateDict } from "./index.ts";

const dict = (entries: Record<string, number[]>) =>
  new Map(Object.entries(entries).map(([name, values]) => [name, tensor(values)]));

function refusal(body: () => void): AmalgamError {
  try {
    body();
  } catch (error) {
    if (error instanceof AmalgamError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("values are copied in place; the target keeps its type and its place in the graph", () => {
  const weight = tensor([0, 0], [2], "bfloat16");
  weight.requiresGrad = true;
  loadStateDict(new Map([["weight", weight]]), dict({ weight: [1.5, -2] }));
  expect(toNumbers(weight)).toEqual([1.5, -2]);
  expect(weight.dtype).toBe("bfloat16");
  expect(weight.isLeaf && weight.requiresGrad).toBe(true);
});

test("all that does not fit is named together, and nothing is changed", () => {
  const into = dict({ a: [0], b: [0], c: [0] });
  const error = refusal(() => loadStateDict(into, dict({ a: [1], b: [1, 2], d: [1] }), "x.safetensors"));
  expect(error).toBeInstanceOf(ModelError);
  expect(error.message).toBe("the tensors don't fit: missing: c; unexpected: d; of another shape: b is [2], not [1]");
  expect(error.place).toEqual({ file: "x.safetensors" });
  expect(toNumbers(into.get("a")!)).toEqual([0]);
});

test("of many names the first few are given, and how many more there are", () => {
  const names = Array.from({ length: 12 }, (_, k) => `layer.${k}`);
  const error = refusal(() => loadStateDict(new Map(names.map((name) => [name, tensor([0])])), new Map()));
  expect(error.message).toBe("the tensors don't fit: missing: layer.0, layer.1, layer.2, layer.3, layer.4 and 7 more");
});
