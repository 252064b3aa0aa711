import type { Tensor } from "../torch/index.ts";
import { noGrad, scope } from "../torch/index.ts";
import { loadStateDict } from "./state-dict.ts";

/** Named parameters; names are those of the model's state dict. */
export type Parameters = ReadonlyMap<string, Tensor>;

/**
 * Changes parameters by their `.grad`. Its state is made at once, goes by names, so that it can be saved and loaded, and
 * outlives no scope that it was made in.
 */
export interface Optimiser {
  /** One step with this learning rate; parameters without a gradient stay. */
  step(learningRate: number): void;
  zeroGrad(): void;
  /** Tensors that a continued training needs, by `<kind>.<parameter>`: the live ones, not copies. */
  state(): Map<string, Tensor>;
  /** Copies a saved state in. Throws a ModelError when names or shapes differ. */
  load(state: ReadonlyMap<string, Tensor>): void;
}

/** What differs between parameters: a factor on the learning rate, and the weight decay. */
export interface ParameterRule {
  readonly rateFactor?: number;
  readonly weightDecay?: number;
}

export interface CommonSettings {
  /** Of every parameter for which `rule` gives no other. */
  readonly weightDecay: number;
  readonly rule?: (name: string, parameter: Tensor) => ParameterRule;
}

interface Group {
  readonly rateFactor: number;
  readonly weightDecay: number;
  readonly names: string[];
}

/** The parameters and their gradients of one group, those with a gradient only, and the learning rate for them. */
interface GroupStep {
  readonly names: readonly string[];
  readonly parameters: Tensor[];
  readonly gradients: Tensor[];
  readonly lr: number;
  readonly weight_decay: number;
}

type State = Record<string, Map<string, Tensor>>;

function groupsOf(parameters: Parameters, { weightDecay, rule }: CommonSettings): Group[] {
  const groups = new Map<string, Group>();
  for (const [name, parameter] of parameters) {
    const { rateFactor = 1, weightDecay: decay = weightDecay } = rule?.(name, parameter) ?? {};
    const key = `${rateFactor} ${decay}`;
    const group = groups.get(key) ?? { rateFactor, weightDecay: decay, names: [] };
    group.names.push(name);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** An optimiser whose `stepGroup` changes parameters of one learning rate and decay, and whose state are these tensors by kind and name. */
export function namedOptimiser(
  parameters: Parameters,
  settings: CommonSettings,
  state: State,
  stepGroup: (step: GroupStep) => void,
): Optimiser {
  const groups = groupsOf(parameters, settings);
  const named = () =>
    new Map(
      Object.entries(state).flatMap(([kind, tensors]) => [...tensors].map(([name, t]) => [`${kind}.${name}`, t])),
    );
  function step(learningRate: number): void {
    for (const { names, rateFactor, weightDecay } of groups) {
      const gradients = new Map(names.map((name) => [name, parameters.get(name)!.grad]));
      const ready = names.filter((name) => gradients.get(name) !== null);
      if (ready.length === 0) continue;
      stepGroup({
        names: ready,
        parameters: ready.map((name) => parameters.get(name)!),
        gradients: ready.map((name) => gradients.get(name)!),
        lr: learningRate * rateFactor,
        weight_decay: weightDecay,
      });
    }
  }
  return {
    step: (learningRate) => noGrad(() => scope(() => step(learningRate))),
    zeroGrad() {
      for (const parameter of parameters.values()) parameter.grad = null;
    },
    state: named,
    load: (given) => loadStateDict(named(), given),
  };
}

/** A tensor for each parameter, by its name. */
export const like = (parameters: Parameters, make: (parameter: Tensor) => Tensor): Map<string, Tensor> =>
  noGrad(() => new Map([...parameters].map(([name, parameter]) => [name, make(parameter)])));

export const pick = (from: ReadonlyMap<string, Tensor>, names: readonly string[]): Tensor[] =>
  names.map((name) => from.get(name)!);
