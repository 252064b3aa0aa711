import { noGrad, ops, scope } from "../torch/index.ts";
import { like, type Optimiser, type Parameters } from "./optimiser.ts";
import { loadStateDict } from "./state-dict.ts";

/** An optimiser that keeps an average of the parameters, too. */
export interface AveragingOptimiser extends Optimiser {
  /** Does `work` while the averages stand in the parameters' place, which have their values again afterwards. */
  withAverages<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Puts the averages in the parameters' place; the last thing to be done with it. */
  takeAverages(): void;
}

/**
 * `optimiser` with an exponential moving average of its parameters, taken after each step: average <- decay average +
 * (1 - decay) parameter, from the parameters as they are now. The averages are part of its state.
 */
export function averaging(optimiser: Optimiser, parameters: Parameters, decay: number): AveragingOptimiser {
  const averages = like(parameters, (parameter) => parameter.detach().clone());
  const state = () => new Map([...averages].map(([name, average]) => [`average.${name}`, average]));
  const exchange = () =>
    noGrad(() => {
      for (const [name, average] of averages)
        scope(() => {
          const parameter = parameters.get(name)!;
          const held = parameter.clone();
          parameter.copy_(average);
          average.copy_(held);
        });
    });
  return {
    step(learningRate) {
      optimiser.step(learningRate);
      noGrad(() => scope(() => ops._foreach_lerp_([...averages.values()], [...parameters.values()], 1 - decay)));
    },
    zeroGrad: () => optimiser.zeroGrad(),
    state: () => new Map([...optimiser.state(), ...state()]),
    load: (given) => {
      const own = state();
      const of = (wanted: boolean) => new Map([...given].filter(([name]) => own.has(name) === wanted));
      optimiser.load(of(false));
      loadStateDict(own, of(true));
    },
    async withAverages(work) {
      exchange();
      try {
        return await work();
      } finally {
        exchange();
      }
    },
    takeAverages: () => loadStateDict(parameters, averages),
  };
}
