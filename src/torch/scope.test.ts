import { describe, expect, test } from "vitest";
import { TorchError } from "../schema/index.ts";
import { backward, customFunction, enableGrad, liveTensors, noGrad, ops, scope, type Tensor, tensor } from "./index.ts";

describe("scope", () => {
  test("frees all but what it returns", () => {
    const before = liveTensors();
    const kept = scope(() => {
      const x = ops.ones([3]);
      return x.add(1).mul(2);
    });
    expect(liveTensors() - before).toBe(1);
    expect(kept.sum().item()).toBe(12);
    kept.dispose();
  });

  test("finds tensors in arrays, maps, sets and objects, also where they are nested or round", () => {
    const make = () => ops.ones([1]);
    const round: { x: Tensor; self?: unknown } = { x: tensor([0]) };
    round.self = round;
    const kept = scope(() => ({
      list: [make(), [make()]],
      map: new Map([["a", { inner: make() }]]),
      set: new Set([make()]),
      numbers: new Float32Array(3),
      nothing: null,
      round,
    }));
    const tensors = [kept.list[0], (kept.list[1] as Tensor[])[0], kept.map.get("a")?.inner, ...kept.set, kept.round.x];
    expect((tensors as Tensor[]).map((x) => x.disposed)).toEqual([false, false, false, false, false]);
  });

  test("passes what it returns to the scope around it", () => {
    const before = liveTensors();
    let inner: Tensor | undefined;
    scope(() => {
      inner = scope(() => ops.ones([1]));
      expect(inner.disposed).toBe(false);
    });
    expect(inner?.disposed).toBe(true);
    expect(liveTensors()).toBe(before);
  });

  test("leaves tensors from outside alone", () => {
    const outside = tensor([1]);
    expect(scope(() => outside)).toBe(outside);
    scope(() => outside.add(1));
    expect(outside.disposed).toBe(false);
  });

  test("frees all when its body throws, and the scopes around it stay whole", () => {
    const before = liveTensors();
    const failure = new RangeError("mine");
    scope(() => {
      const x = ops.ones([1]);
      expect(() =>
        scope(() => {
          scope(() => ops.ones([1]));
          ops.ones([1]);
          throw failure;
        }),
      ).toThrow(failure);
      expect(liveTensors() - before).toBe(1);
      expect(x.disposed).toBe(false);
    });
    expect(liveTensors()).toBe(before);
  });

  test("refuses an asynchronous body", () => {
    expect(() => scope(async () => ops.ones([1]))).toThrow(TorchError);
    expect(() => noGrad(async () => 1)).toThrow(TorchError);
  });

  test("keeps what a later backward needs", () => {
    const before = liveTensors();
    const x = tensor([2, 3]);
    x.requiresGrad = true;
    const loss = scope(() =>
      customFunction({
        inputs: [x],
        forward: () => {
          const halved = x.mul(0.5);
          return { output: x.mul(halved), saved: [halved] };
        },
        backward: ([grad], [halved]) => [grad!.mul(halved!).mul(2)],
      })
        .exp()
        .log()
        .sum(),
    );
    expect(liveTensors() - before).toBe(2);
    backward(loss);
    expect(scope(() => Array.from(new Float32Array(x.grad!.bytes())))).toEqual([2, 3]);
    // The closure's own tensors are gone too.
    expect(liveTensors() - before).toBe(2);
  });
});

describe("recording", () => {
  const x = tensor([1]);
  x.requiresGrad = true;

  test("is switched and restored, through errors too", () => {
    expect(noGrad(() => x.mul(2).requiresGrad)).toBe(false);
    expect(noGrad(() => enableGrad(() => x.mul(2).requiresGrad))).toBe(true);
    expect(() =>
      noGrad(() => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(x.mul(2).requiresGrad).toBe(true);
  });
});
