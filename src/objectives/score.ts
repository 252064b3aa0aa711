import { ops, type Tensor } from "../torch/index.ts";
import type { ResponseLogProbs } from "./objective.ts";

/** What an objective compares of the responses, [B] for B rows. Times beta it is the internal reward r(x, y), paper Eq. 1. */
export interface Score {
  readonly needsReference: boolean;
  of(response: ResponseLogProbs): Tensor;
}

/** log pi(y|x) - log pi_ref(y|x): Eq. 1 without the partition function, which cancels. */
export const logRatio: Score = { needsReference: true, of: ({ policy, reference }) => policy.sub(reference) };

/** log pi(y|x). Also the log-ratio to a reference that finds every response equally likely, up to what cancels. */
export const logProb: Score = { needsReference: false, of: ({ policy }) => policy };

/** A score for each token: s(y) / |y|. */
export const lengthNormalised = (score: Score): Score => ({
  ...score,
  of: (response) => score.of(response).div(response.lengths),
});

export const averageLogProb: Score = lengthNormalised(logProb);

/** The score of objectives that can do without a reference. */
export const logRatioUnless = (referenceFree: boolean): Score => (referenceFree ? logProb : logRatio);

export type Divergence = "reverse_kl" | "forward_kl" | "js" | "alpha";

/**
 * f'(u) at u = pi / pi_ref, without constants, which cancel: the reward under a constraint by the f-divergence f in place of
 * the reverse KL (Wang et al. 2023, "Beyond Reverse KL"). With r = log u: forward KL -e^-r, Jensen-Shannon
 * log sigmoid(r), alpha e^((alpha - 1) r) / (alpha - 1), which is r again at alpha = 1.
 */
export function divergenceScore(divergence: Divergence, alpha: number, ratio: Score): Score {
  const of = (transform: (r: Tensor) => Tensor): Score => ({ ...ratio, of: (y) => transform(ratio.of(y)) });
  if (divergence === "forward_kl") return of((r) => r.neg().exp().neg());
  if (divergence === "js") return of((r) => ops.log_sigmoid(r));
  if (divergence === "alpha" && alpha !== 1)
    return of((r) =>
      r
        .mul(alpha - 1)
        .exp()
        .div(alpha - 1),
    );
  return ratio;
}
