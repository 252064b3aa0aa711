import { describe, expect, test } from "vitest";
import { TorchError } from "../schema/index.ts";
import {
  backward,
  customFunction,
  enableGrad,
  gradcheck,
  gradients,
  liveTensors,
  manualSeed,
  noGrad,
  ops,
  scope,
  type Tensor,
  tensor,
  toNumbers,
} from "./index.ts";

function leaf(values: number[], dtype: "float32" | "float64" = "float64"): Tensor {
  const made = tensor(values, [values.length], dtype);
  made.requiresGrad = true;
  return made;
}

type Backward = (grads: readonly (Tensor | null)[], saved: readonly Tensor[]) => (Tensor | null)[];
const ofSquare: Backward = ([grad], [kept]) => [grad!.mul(kept!).mul(2)];
const square = (x: Tensor, closure = ofSquare) =>
  customFunction({ inputs: [x], forward: () => ({ output: x.mul(x), saved: [x] }), backward: closure });

describe("gradients", () => {
  test("hold to finite differences, several inputs and outputs, some without a path", () => {
    const angles = (r: Tensor, phi: Tensor, unused: Tensor) =>
      customFunction({
        inputs: [r, phi, null, unused],
        forward: () => ({ output: [r.mul(phi.cos()), r.mul(phi.sin())], saved: [r, phi] }),
        backward: ([dx, dy], [radius, angle]) => [
          dx!.mul(angle!.cos()).add(dy!.mul(angle!.sin())),
          dy!.mul(angle!.cos()).sub(dx!.mul(angle!.sin())).mul(radius!),
          null,
          null,
        ],
      });
    const inputs = [leaf([0.5, 2, -1]), leaf([0.1, 0.2, 3]), leaf([7])];
    expect(gradcheck((r, phi, unused) => angles(r!, phi!, unused!), inputs)).toBeLessThan(1e-6);
    expect(inputs.every((input) => input.grad === null)).toBe(true);
  });

  test("that are wrong are found by gradcheck, with the element", () => {
    const wrong: Backward = ([grad], [kept]) => [
      grad!
        .mul(kept!)
        .mul(2)
        .add(tensor([0, 0.01, 0], [3], "float64")),
    ];
    expect(() => gradcheck((x) => square(x!, wrong), [leaf([1, 2, 3])])).toThrow(
      /input 0, element 1: backward gives -?\d/,
    );
    expect(() => gradcheck((x) => square(x!, () => [null]), [leaf([1])])).toThrow(/backward gives 0,/);
    expect(() => gradcheck((x) => x!, [leaf([1], "float32")])).toThrow(/float32, not float64/);
  });

  test("an output that no gradient reaches comes as null", () => {
    const seen: boolean[] = [];
    const x = leaf([1]);
    const [first] = customFunction({
      inputs: [x],
      forward: () => ({ output: [x.mul(2), x.mul(3)], saved: [] }),
      backward: ([a, b]) => {
        seen.push(a === null, b === null);
        return [a!.mul(2)];
      },
    }) as Tensor[];
    backward(first!.sum());
    expect(seen).toEqual([false, true]);
    expect(x.grad?.item()).toBe(2);
  });

  test("accumulate in leaves, and don't with `gradients`", () => {
    const x = leaf([3]);
    backward(square(x).sum());
    backward(square(x).sum());
    expect(x.grad?.item()).toBe(12);
    expect(gradients(square(x).sum(), [x]).map((grad) => grad?.item())).toEqual([6]);
    expect(gradients(square(x).sum(), [leaf([1])])).toEqual([null]);
    expect(x.grad?.item()).toBe(12);
  });

  test("nothing is recorded where nothing asks for it", () => {
    expect(square(tensor([1])).requiresGrad).toBe(false);
    expect(noGrad(() => square(leaf([1]))).requiresGrad).toBe(false);
  });
});

describe("a backward inside a backward", () => {
  test("through other custom functions gives the chain rule", () => {
    const again = (x: Tensor) =>
      customFunction({
        inputs: [x],
        forward: () => ({ output: x.sin(), saved: [x] }),
        backward: ([grad], [kept]) => {
          const copy = kept!.detach();
          copy.requiresGrad = true;
          const root = enableGrad(() => square(copy).sqrt().mul(copy.sign()).sin());
          return gradients(root, [copy], grad!);
        },
      });
    expect(gradcheck((x) => again(again(x!)), [leaf([0.3, 1.2])])).toBeLessThan(1e-6);
  });

  test("gives each error to the one who caused it, and leaves the engine usable", () => {
    const x = leaf([1, 2]);
    const inner: Backward = () => {
      throw new RangeError("inner");
    };
    const outer: Backward = ([grad], [kept]) => {
      const copy = kept!.detach();
      copy.requiresGrad = true;
      expect(() => backward(enableGrad(() => square(copy, inner).sum()))).toThrow(new RangeError("inner"));
      return [grad!.mul(kept!).mul(2)];
    };
    backward(square(x, outer).sum());
    expect(toNumbers(x.grad!)).toEqual([2, 4]);
  });
});

describe("errors", () => {
  class OwnError extends Error {}

  test("come out of backward as what was thrown, and are gone then", () => {
    const failure = new OwnError("mine");
    const closure: Backward = () => {
      throw failure;
    };
    const before = liveTensors();
    scope(() => {
      const x = leaf([1]);
      const loss = () => square(x, closure).sum();
      for (const run of [() => backward(loss()), () => gradients(loss(), [x]), () => ops._backward(loss(), [x])])
        expect(run).toThrow(failure);
      expect(() => backward(tensor([1]))).toThrow(TorchError);
    });
    expect(liveTensors()).toBe(before);
  });

  test("a thrown text becomes an Error with it", () => {
    const closure: Backward = () => {
      throw "text";
    };
    expect(() => backward(square(leaf([1]), closure).sum())).toThrow(new Error("text"));
  });

  test("of the forward come out at once", () => {
    const failing = () =>
      customFunction({
        inputs: [leaf([1])],
        forward: (): { output: Tensor; saved: Tensor[] } => {
          throw new OwnError("forward");
        },
        backward: () => [null],
      });
    expect(failing).toThrow(OwnError);
  });

  test.each<[what: string, closure: Backward, message: RegExp]>([
    ["too few gradients", () => [], /one gradient \(or null\) for each input/],
    ["no array", () => null as unknown as [], /one gradient \(or null\) for each input/],
    ["no tensor", () => [1 as unknown as Tensor], /expected a Tensor/],
    [
      "a gradient of another shape",
      () => [tensor([1, 2, 3], [3], "float64")],
      /invalid gradient at index 0 - got \[3\]/,
    ],
  ])("%s is refused", (_, closure, message) => {
    expect(() => backward(square(leaf([1, 2]), closure).sum())).toThrow(message);
  });

  test("an input returned as the output is refused", () => {
    const x = leaf([1]);
    const identity = () =>
      customFunction({ inputs: [x], forward: () => ({ output: x, saved: [] }), backward: ([grad]) => [grad!] });
    expect(identity).toThrow(/one of the inputs itself/);
  });

  test("a second backward is refused, unless the graph is retained", () => {
    const x = leaf([1]);
    const once = square(x).sum();
    backward(once);
    expect(() => backward(once)).toThrow(/custom function twice; retain the graph/);
    const twice = square(x).sum();
    backward(twice, undefined, true);
    backward(twice);
    expect(x.grad?.item()).toBe(6);
  });

  test("a second derivative is refused", () => {
    const x = leaf([1]);
    const loss = square(x).sum();
    expect(() => ops._backward(loss, [x], null, true, true)).toThrow(/no second derivative/);
  });

  test("saved tensors that were changed in place are refused", () => {
    const x = leaf([1, 2]);
    const middle = x.mul(1);
    const loss = square(middle).sum();
    noGrad(() => middle.add_(1));
    expect(() => backward(loss)).toThrow(/saved for a custom backward was changed in place/);
  });
});

test("what backward saves is freed with it", () => {
  manualSeed(1);
  const x = leaf([1, 2, 3]);
  const before = liveTensors();
  for (let k = 0; k < 50; k++) scope(() => backward(square(square(x)).sum()));
  expect(liveTensors()).toBe(before);
});
