import { ops, type Tensor } from "../torch/index.ts";

/** The log-probs of the responses that B rows have in one role: n = B where each has one, B k where each has k, row after row. */
export interface ResponseLogProbs {
  /** log pi(y|x) under the policy, summed over the response's tokens, [n]. */
  readonly policy: Tensor;
  /** log pi_ref(y|x) under the reference, [n]; NaN where none was computed, as for objectives that need none. */
  readonly reference: Tensor;
  /** Tokens of the response, [n]. */
  readonly lengths: Tensor;
  /** log pi and log pi_ref of a response's head, [n]: its first tokens, as many as the shortest response of its row has. For `needsHeads`. */
  readonly head?: Tensor;
  readonly headReference?: Tensor;
  /** Mean over the response's tokens of log pi(y_t) - log sum_v pi(v)^2, [n], without a gradient. For `needsAlignments`. */
  readonly alignment?: Tensor;
}

/** The responses y_ws (once or several times), y_wt, y_l of a quadruple, and y_ls for Eq. 9, in the order that batches carry them. */
export const quadrupleRoles = ["source_chosen", "target_chosen", "rejected", "source_rejected"] as const;
export type Role = (typeof quadrupleRoles)[number];
/** What a response is in a training row: one of the row's own, or another row's at this row's prompt. */
export type RowRole = Role | "mismatched";

/** Numbers that an objective carries from one optimiser step to the next. */
export type ObjectiveState = Readonly<Record<string, number>>;

/** What an objective gives for B rows. */
export interface ObjectiveOutput {
  /**
   * Loss of each row, [B]: the trainer averages over the whole batch, so that micro-batching does not matter. Of a coupled
   * objective, losses whose mean is the loss of the batch.
   */
  readonly loss: Tensor;
  /** Figures of each row, [B], under the names that the community plots; of a coupled objective, figures to be averaged. */
  readonly metrics: Readonly<Record<string, Tensor>>;
  /** What `state` is after this step; of a coupled objective that has one. */
  readonly state?: ObjectiveState;
}

/** A preference objective: log-probs of the responses that it uses -> loss and metrics. One file each in this room. */
export interface Objective {
  readonly name: string;
  /** The responses of a quadruple that it uses, in the order of `quadrupleRoles`; a role stands as often as a row has responses in it. */
  readonly roles: readonly Role[];
  /** Whether it looks at the reference's log-probs; they are a pass over all rows, and stay uncomputed where it does not. */
  readonly needsReference: boolean;
  readonly needsHeads?: boolean;
  readonly needsAlignments?: boolean;
  /**
   * Whether its loss is not a sum over rows: it is then computed for the batch of an optimiser step as a whole, whatever the
   * micro-batches are.
   */
  readonly coupled?: boolean;
  /** Whether each response counts by itself, so that rows may have some of the roles only. Of coupled objectives. */
  readonly unpaired?: boolean;
  /** Whether it looks at the responses of another row at this row's prompt, too. */
  readonly mismatched?: boolean;
  /** The state before the first step, of a coupled objective that carries one. */
  readonly initialState?: ObjectiveState;
  /**
   * `progress` is the share of the optimiser steps done before this one, in [0, 1). An evaluation looks at the `state` as it is:
   * what it computes is not `learnt`.
   */
  compute(
    logProbs: Readonly<Record<RowRole, ResponseLogProbs>>,
    progress: number,
    state?: ObjectiveState,
    learnt?: boolean,
  ): ObjectiveOutput;
}

/** -log sigmoid(h) with label smoothing epsilon: the preference is wrong with probability epsilon. */
export function logisticLoss(margin: Tensor, epsilon: number): Tensor {
  const right = ops.log_sigmoid(margin).neg();
  return epsilon === 0 ? right : right.mul(1 - epsilon).sub(ops.log_sigmoid(margin.neg()).mul(epsilon));
}
