import { RecipeError } from "../schema/index.ts";
import type { Tensor } from "../torch/index.ts";
import { sigmoidLoss } from "./dpo.ts";
import { squaredLoss } from "./ipo.ts";
import type { Objective, Role } from "./objective.ts";
import type { ScoreLoss } from "./pairwise.ts";
import { averageLogProb, logRatio, type Score } from "./score.ts";
import { type SimpoSettings, targetMarginLoss } from "./simpo.ts";

export interface Fusion {
  /** End value of the fusion coefficient alpha, or its value throughout. */
  readonly alpha: number;
  readonly alphaSchedule: "linear" | "static";
  /** k, how many source responses y_ws1..y_wsk a row has; 1 unless given. */
  readonly sourceResponses?: number;
  /** How they share alpha: in equal parts unless given, or in proportion to these k numbers. */
  readonly sourceWeights?: "equal" | readonly number[];
}

export interface WrpoSettings extends Fusion {
  readonly beta: number;
  readonly labelSmoothing: number;
}

/** The fusion coefficient at this point of training: from 0 towards `alpha`, linearly (paper section 3.3, appendix E). */
export const fusionCoefficient = ({ alpha, alphaSchedule }: Fusion, progress: number): number =>
  alphaSchedule === "linear" ? alpha * progress : alpha;

/** The shares w_1..w_k of the source responses in alpha, which sum to 1. */
function sourceShares({ sourceResponses: count = 1, sourceWeights = "equal" }: Fusion): number[] {
  const weights = sourceWeights === "equal" ? Array<number>(count).fill(1) : sourceWeights;
  if (weights.length !== count)
    throw new RecipeError(`${weights.length} source_weights for ${count} responses of the sources`, {
      field: "wrpo.source_weights",
      hint: "Give one weight for each of selection.source_responses, or leave them out: equal ones.",
    });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/**
 * Weighted-Reward Preference Optimization, paper Eq. 7:
 * L = -log sigmoid(alpha r(y_ws) + (1 - alpha) r(y_wt) - r(y_l)), with the compound reward of Eq. 5 for the preferred pair.
 * alpha = 0 is DPO on (y_wt, y_l), alpha = 1 is DPO on (y_ws, y_l). With several source responses, r(y_ws) is
 * the sum of w_i r(y_wsi), whose shares w_i sum to 1: as one response where all are the same.
 */
export const wrpo = (settings: WrpoSettings): Objective =>
  weighted("wrpo", settings, logRatio, settings.beta, sigmoidLoss(settings.beta, settings.labelSmoothing));

/**
 * WRPO with SimPO in DPO's place (paper section 4.3, appendix A): r(y) = beta / |y| log pi(y|x), and a target margin:
 * L = -log sigmoid(alpha r(y_ws) + (1 - alpha) r(y_wt) - r(y_l) - gamma).
 */
export const wrpoSimpo = (settings: SimpoSettings & Fusion): Objective =>
  weighted("wrpo_simpo", settings, averageLogProb, settings.beta, targetMarginLoss(settings));

export interface WrpoIpoSettings extends Fusion {
  readonly tau: number;
}

/**
 * WRPO with IPO in DPO's place (paper section 4.3, appendix A): L = (h - 1 / (2 tau))^2,
 * h = alpha s(y_ws) + (1 - alpha) s(y_wt) - s(y_l), s = log(pi / pi_ref).
 */
export const wrpoIpo = (settings: WrpoIpoSettings): Objective =>
  weighted("wrpo_ipo", settings, logRatio, settings.tau, squaredLoss(settings.tau));

/**
 * WRPO with a dispreferred response of the source that gave y_ws, paper Eq. 9:
 * L = -log sigmoid(alpha (r(y_ws) - r(y_ls)) + (1 - alpha) (r(y_wt) - r(y_l))).
 */
export const wrpoSourceRejected = (settings: WrpoSettings): Objective =>
  weighted(
    "wrpo_source_rejected",
    settings,
    logRatio,
    settings.beta,
    sigmoidLoss(settings.beta, settings.labelSmoothing),
    ["source_rejected"],
  );

/**
 * A pair loss on the compound score alpha s(y_ws) + (1 - alpha) s(y_wt) of the preferred pair and on s(y_l), or on the
 * compound score of a dispreferred pair where there is a y_ls.
 */
function weighted(
  name: string,
  fusion: Fusion,
  score: Score,
  scale: number,
  loss: ScoreLoss,
  more: readonly "source_rejected"[] = [],
): Objective {
  const shares = sourceShares(fusion);
  const sources = shares.map(() => "source_chosen" as const);
  const roles: readonly Role[] = [...sources, "target_chosen", "rejected", ...more];
  /** [B k], row after row -> [B]. */
  const shared = (values: Tensor): Tensor => {
    if (shares.length === 1) return values;
    const matrix = values.view([-1, shares.length]);
    return shares.map((share, k) => matrix.select(1, k).mul(share)).reduce((sum, term) => sum.add(term));
  };
  return {
    name,
    roles,
    needsReference: score.needsReference,
    compute(logProbs, progress) {
      const { source_chosen: yws, target_chosen: ywt, rejected: yl, source_rejected: yls } = logProbs;
      const alpha = fusionCoefficient(fusion, progress);
      const mix = (source: Tensor, target: Tensor) => source.mul(alpha).add(target.mul(1 - alpha));
      const reward = (s: Tensor) => s.mul(scale);
      const sWs = shared(score.of(yws));
      const sWt = score.of(ywt);
      const sLt = score.of(yl);
      const sLs = roles.includes("source_rejected") ? score.of(yls) : sLt;
      const sW = mix(sWs, sWt);
      const sL = sLs === sLt ? sLt : mix(sLs, sLt);
      const besides =
        sLs === sLt ? {} : { "rewards/source_rejected": reward(sLs), "rewards/target_rejected": reward(sLt) };
      const logpWs = shared(yws.policy);
      return {
        loss: loss(sW, sL),
        metrics: {
          "rewards/chosen": reward(sW),
          "rewards/source_chosen": reward(sWs),
          "rewards/target_chosen": reward(sWt),
          "rewards/rejected": reward(sL),
          ...besides,
          "rewards/accuracies": sW.gt(sL),
          "rewards/source_accuracies": sWs.gt(sLs),
          "rewards/pivot_accuracies": sWt.gt(sLt),
          "rewards/margins": reward(sW.sub(sL)),
          "logps/chosen": logpWs
            .mul(shares.length)
            .add(ywt.policy)
            .div(shares.length + 1),
          "logps/source_chosen": logpWs,
          "logps/target_chosen": ywt.policy,
          "logps/rejected": yl.policy,
          cur_alpha: yl.policy.detach().mul(0).add(alpha),
        },
      };
    },
  };
}
