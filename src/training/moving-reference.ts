import type { Decoder } from "../models/index.ts";
import { noGrad, scope, type Tensor } from "../torch/index.ts";

export interface ReferenceSync {
  /** The share of the policy that goes into the reference at each synchronisation, in (0, 1]. */
  readonly alpha: number;
  /** Optimiser steps from one to the next. */
  readonly everySteps: number;
}

/** A reference that follows the policy, with weights of its own. */
export interface MovingReference {
  readonly decoder: Decoder;
  /** Its weights by their names: what a checkpoint must keep. */
  readonly state: ReadonlyMap<string, Tensor>;
  /** To be called after each optimiser step, counted from 1. */
  stepped(step: number): void;
  dispose(): void;
}

/**
 * The reference of TR-DPO (Gorbatovski et al. 2024, "Learn Your Reference Model for Real Good Alignment", soft update): a copy of the
 * policy as it is now, that becomes (1 - alpha) of itself + alpha of the policy every so many optimiser steps; with
 * alpha 1, the policy (hard update). Its log-probs change with it, so none can be computed beforehand.
 */
export function movingReference(policy: Decoder, { alpha, everySteps }: ReferenceSync): MovingReference {
  const state = noGrad(() => new Map([...policy.parameters].map(([name, weight]) => [name, weight.clone()])));
  return {
    decoder: { ...policy, parameters: state },
    state,
    stepped(step) {
      if (step % everySteps !== 0) return;
      noGrad(() =>
        scope(() => {
          for (const [name, weight] of state) weight.mul_(1 - alpha).add_(policy.parameters.get(name)!, { alpha });
        }),
      );
    },
    dispose() {
      for (const weight of state.values()) weight.dispose();
    },
  };
}
