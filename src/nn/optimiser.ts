import type { Tensor } from "../torch/index.ts";
import { noGrad, ops, scope } from "../torch/index.ts";

/** Named parameters; names are those of the model's state dict. */
export type Parameters = ReadonlyMap<string, Tensor>;

/** Changes parameters by their `.grad`. Its state goes by names, so that it can be saved and loaded. */
export interface Optimiser {
  /** One step with this learning rate; parameters without a gradient stay. */
  step(learningRate: number): void;
  zeroGrad(): void;
  /** Tensors that a continued training needs, by `<kind>.<parameter>`. */
  state(): Map<string, Tensor>;
  load(state: ReadonlyMap<string, Tensor>): void;
}

function zeroGradOf(parameters: Parameters): void {
  for (const parameter of parameters.values()) {
    parameter.grad?.dispose();
    parameter.grad = null;
  }
}

function loadInto(own: ReadonlyMap<string, Tensor>, given: ReadonlyMap<string, Tensor>): void {
  noGrad(() => {
    for (const [name, tensor] of own) {
      const source = given.get(name);
      if (source === undefined) throw new Error(`the optimiser's state lacks ${name}`);
      tensor.copy_(source);
    }
  });
}

const prefixed = (kind: string, tensors: ReadonlyMap<string, Tensor>) =>
  [...tensors].map(([name, t]) => [`${kind}.${name}`, t] as const);

export interface AdamWSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled weight decay. */
  readonly weightDecay: number;
}

/** AdamW (Loshchilov and Hutter 2019) by libtorch's fused operator; moments in the parameters' type. */
export function adamW(parameters: Parameters, settings: AdamWSettings): Optimiser {
  const like = (make: (parameter: Tensor) => Tensor) =>
    noGrad(() => new Map([...parameters].map(([name, parameter]) => [name, make(parameter)])));
  const first = like((parameter) => ops.zeros_like(parameter));
  const second = like((parameter) => ops.zeros_like(parameter));
  const steps = like((parameter) => ops.zeros([], { dtype: "float32", device: parameter.device }));
  const state = () =>
    new Map([...prefixed("exp_avg", first), ...prefixed("exp_avg_sq", second), ...prefixed("step", steps)]);
  return {
    step(learningRate) {
      noGrad(() =>
        scope(() => {
          const names = [...parameters].filter(([, parameter]) => parameter.grad !== null).map(([name]) => name);
          const pick = (from: ReadonlyMap<string, Tensor>) => names.map((name) => from.get(name)!);
          const counts = pick(steps);
          ops._foreach_add_(counts, 1);
          const gradients = pick(parameters).map((parameter) => parameter.grad!);
          ops._fused_adamw_(pick(parameters), gradients, pick(first), pick(second), [], counts, {
            lr: learningRate,
            beta1: settings.beta1,
            beta2: settings.beta2,
            weight_decay: settings.weightDecay,
            eps: settings.epsilon,
            amsgrad: false,
            maximize: false,
          });
        }),
      );
    },
    zeroGrad: () => zeroGradOf(parameters),
    state,
    load: (given) => loadInto(state(), given),
  };
}

export interface SgdSettings {
  readonly momentum: number;
  readonly weightDecay: number;
}

/** Stochastic gradient descent with momentum, as in torch.optim.SGD. */
export function sgd(parameters: Parameters, { momentum, weightDecay }: SgdSettings): Optimiser {
  const velocity = noGrad(() => new Map([...parameters].map(([name, parameter]) => [name, ops.zeros_like(parameter)])));
  const state = () => new Map(prefixed("momentum", velocity));
  return {
    step(learningRate) {
      noGrad(() =>
        scope(() => {
          for (const [name, parameter] of parameters) {
            const { grad } = parameter;
            if (grad === null) continue;
            const direction = weightDecay === 0 ? grad : grad.add(parameter, { alpha: weightDecay });
            const moved = momentum === 0 ? direction : velocity.get(name)!.mul_(momentum).add_(direction);
            parameter.add_(moved, { alpha: -learningRate });
          }
        }),
      );
    },
    zeroGrad: () => zeroGradOf(parameters),
    state,
    load: (given) => loadInto(state(), given),
  };
}
