import { ops, type Tensor } from "../torch/index.ts";
import type { ResponseLogProbs } from "./objective.ts";

/** What an objective compares of the responses, [B] for B rows. Times beta it is the internal reward r(x, y), paper Eq. 1. */
export interface Score {
  readonly needsReference: boolean;
  /** Whether it looks at the log-probs of the responses' heads. */
  readonly needsHeads?: boolean;
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

export type Divergence = "reverse_kl" | "forward_kl" | "js" | "alpha";

/** What may be changed in the losses of a pair. */
export interface Modifiers {
  /** Takes every response as equally likely to the reference. */
  readonly referenceFree?: boolean;
  /** What the policy is held to the reference by; `reverse_kl` unless given. */
  readonly divergence?: Divergence;
  /** The alpha of the alpha-divergence. */
  readonly divergenceAlpha?: number;
  /** LD-DPO's weight of the tokens beyond the length of the row's shortest response, in [0, 1]; 1 unless given. */
  readonly ldAlpha?: number;
  /** WPO: each pair's loss times the policy's own probability of both responses. */
  readonly wpoWeighting?: boolean;
}

/**
 * The log-prob of a response with the tokens beyond the shared length at weight alpha ("Length Desensitization in DPO",
 * Liu et al. 2024): log pi(y_1..y_l|x) + alpha log pi(y_l+1..|x, y_1..y_l).
 */
const desensitised = (whole: Tensor, head: Tensor | undefined, alpha: number): Tensor =>
  alpha === 1 ? whole : head!.mul(1 - alpha).add(whole.mul(alpha));

/** log pi(y|x), under the modifiers. */
export const policyOf = ({ policy, head }: ResponseLogProbs, { ldAlpha = 1 }: Modifiers): Tensor =>
  desensitised(policy, head, ldAlpha);

/** log pi_ref(y|x), under the modifiers. */
export const referenceOf = ({ reference, headReference }: ResponseLogProbs, { ldAlpha = 1 }: Modifiers): Tensor =>
  desensitised(reference, headReference, ldAlpha);

/** The log-ratio under the modifiers, a divergence aside. */
export function ratioOf(modifiers: Modifiers): Score {
  const { referenceFree = false, ldAlpha = 1 } = modifiers;
  return {
    needsReference: !referenceFree,
    needsHeads: ldAlpha !== 1,
    of: (y) => (referenceFree ? policyOf(y, modifiers) : policyOf(y, modifiers).sub(referenceOf(y, modifiers))),
  };
}

/**
 * The score of a pair's losses: f'(u) at u = pi / pi_ref, without constants, which cancel: the reward under a constraint by
 * the f-divergence f in place of the reverse KL (Wang et al. 2023, "Beyond Reverse KL"). With r = log u: forward KL -e^-r,
 * Jensen-Shannon log sigmoid(r), alpha e^((alpha - 1) r) / (alpha - 1), which is r again at alpha = 1.
 */
export function scoreOf(modifiers: Modifiers): Score {
  const { divergence = "reverse_kl", divergenceAlpha: alpha = 0.5 } = modifiers;
  const ratio = ratioOf(modifiers);
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
