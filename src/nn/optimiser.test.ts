import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ModelError } from "../schema/index.ts";
import { backward, scope, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import {
  adafactor,
  adamW,
  averaging,
  clipGradNorm,
  lion,
  loadStateDict,
  type Optimiser,
  openSafetensors,
  type Parameters,
  sgd,
  writeSafetensorsFile,
} from "./index.ts";

interface Step {
  readonly grads: Record<string, number[] | null>;
  readonly norm: number;
  readonly values: Record<string, number[]>;
}
const truth = JSON.parse(readFileSync(join(import.meta.dirname, "fixtures/optimisation.json"), "utf8")) as {
  readonly rates: number[];
  readonly start: Record<string, { shape: number[]; values: number[] }>;
  readonly optimisers: Record<string, Step[]>;
  readonly averages: { decay: number; steps: Step["values"][] };
};

function start(): Map<string, Tensor> {
  const parameters = new Map<string, Tensor>();
  for (const [name, { shape, values }] of Object.entries(truth.start)) {
    const parameter = tensor(values, shape);
    parameter.requiresGrad = true;
    parameters.set(name, parameter);
  }
  return parameters;
}

function setGradients(parameters: Parameters, grads: Step["grads"]): void {
  for (const [name, parameter] of parameters) {
    const values = grads[name];
    parameter.grad = values ? tensor(values, parameter.shape) : null;
  }
}

function expectClose(parameters: Parameters, values: Step["values"]): void {
  for (const [name, parameter] of parameters)
    for (const [k, value] of toNumbers(parameter).entries())
      expect(Math.abs(value - values[name]![k]!), `${name}[${k}]`).toBeLessThan(2e-6);
}

const adam = { beta1: 0.9, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.1 };
const rule = (name: string) => (name === "weight" ? {} : { weightDecay: 0, rateFactor: 0.5 });
const factored = {
  ...{ beta1: 0, decayRate: 0.8, clipThreshold: 1, epsilon: 1e-30 },
  ...{ scaleParameter: false, scaleEpsilon: 1e-3, weightDecay: 0 },
};
const makers: Record<string, (parameters: Parameters) => Optimiser> = {
  adamw: (parameters) => adamW(parameters, adam),
  "adamw, groups": (parameters) => adamW(parameters, { ...adam, rule }),
  sgd: (parameters) => sgd(parameters, { momentum: 0, weightDecay: 0 }),
  "sgd, momentum": (parameters) => sgd(parameters, { momentum: 0.9, weightDecay: 0.05 }),
  "sgd, nesterov": (parameters) => sgd(parameters, { momentum: 0.9, weightDecay: 0, nesterov: true }),
  adafactor: (parameters) => adafactor(parameters, factored),
  "adafactor, all": (parameters) =>
    adafactor(parameters, {
      ...{ beta1: 0.9, decayRate: 0.6, clipThreshold: 0.5, epsilon: 1e-12 },
      ...{ scaleParameter: true, scaleEpsilon: 0.9, weightDecay: 0.1, rule },
    }),
  lion: (parameters) => lion(parameters, { beta1: 0.9, beta2: 0.99, weightDecay: 0 }),
  "lion, groups": (parameters) => lion(parameters, { beta1: 0.8, beta2: 0.95, weightDecay: 0.1, rule }),
};

describe.each(Object.keys(truth.optimisers))(
  "%s, after clipping, is that of torch.optim, transformers or lion-pytorch",
  (name) => {
    const steps = truth.optimisers[name]!;
    const make = makers[name]!;

    test("over steps with changing rates and a missing gradient", () => {
      const parameters = start();
      const optimiser = make(parameters);
      for (const [k, { grads, norm, values }] of steps.entries()) {
        setGradients(parameters, grads);
        expect(clipGradNorm(parameters.values(), 2)).toBeCloseTo(norm, 5);
        scope(() => optimiser.step(truth.rates[k]!));
        expectClose(parameters, values);
      }
    });

    test("when it goes on in another process's place from the saved state", () => {
      const file = join(mkdtempSync(join(tmpdir(), "optimiser-")), "state.safetensors");
      const parameters = start();
      const before = make(parameters);
      for (const [k, { grads }] of steps.slice(0, 2).entries()) {
        setGradients(parameters, grads);
        clipGradNorm(parameters.values(), 2);
        before.step(truth.rates[k]!);
      }
      writeSafetensorsFile(file, before.state());
      const after = make(parameters);
      after.load(openSafetensors(file).tensors);
      for (const [k, { grads }] of steps.entries()) {
        if (k < 2) continue;
        setGradients(parameters, grads);
        clipGradNorm(parameters.values(), 2);
        after.step(truth.rates[k]!);
      }
      expectClose(parameters, steps.at(-1)!.values);
    });
  },
);

describe("averages of the parameters", () => {
  const { decay, steps } = truth.averages;
  const made = () => {
    const parameters = start();
    return {
      parameters,
      optimiser: averaging(sgd(parameters, { momentum: 0, weightDecay: 0 }), parameters, decay),
    };
  };
  const gradientsOf = (step: number) => {
    const [{ grads }, { grads: first }] = [truth.optimisers.sgd![step]!, truth.optimisers.sgd![0]!];
    return { ...grads, idle: grads.idle ?? first.idle! };
  };

  test("are torch's, and take the parameters' place", () => {
    const { parameters, optimiser } = made();
    for (const step of steps.keys()) {
      setGradients(parameters, gradientsOf(step));
      optimiser.step(0.1);
      const kept = optimiser.state();
      expectClose(new Map([...parameters.keys()].map((name) => [name, kept.get(`average.${name}`)!])), steps[step]!);
    }
    optimiser.takeAverages();
    expectClose(parameters, steps.at(-1)!);
  });

  test("go on from a saved state", () => {
    const before = made();
    setGradients(before.parameters, gradientsOf(0));
    before.optimiser.step(0.1);
    const after = made();
    after.optimiser.load(before.optimiser.state());
    loadStateDict(after.parameters, before.parameters);
    for (const step of [1, 2, 3]) {
      setGradients(after.parameters, gradientsOf(step));
      after.optimiser.step(0.1);
    }
    after.optimiser.takeAverages();
    expectClose(after.parameters, steps.at(-1)!);
  });
});

test("zeroGrad lets go of all gradients", () => {
  const parameters = start();
  const optimiser = adamW(parameters, adam);
  backward([...parameters.values()].map((parameter) => parameter.sum()).reduce((a, b) => a.add(b)));
  expect([...parameters.values()].every((parameter) => parameter.grad !== null)).toBe(true);
  optimiser.zeroGrad();
  expect([...parameters.values()].every((parameter) => parameter.grad === null)).toBe(true);
});

test("a state of other parameters is refused and changes nothing", () => {
  const optimiser = adamW(start(), adam);
  const state = optimiser.state();
  state.delete("step.bias");
  state.set("exp_avg.weight", tensor([9]));
  state.set("exp_avg.bias", tensor([9, 9, 9, 9]));
  expect(() => optimiser.load(state)).toThrow(ModelError);
  expect(() => optimiser.load(state)).toThrow(/missing: step.bias.*exp_avg.weight is \[1\], not \[4, 3\]/);
  expect(toNumbers(optimiser.state().get("exp_avg.bias")!)).toEqual([0, 0, 0, 0]);
});
