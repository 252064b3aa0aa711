import { z } from "zod";

const positive = z.number().gt(0);

/** Every setting that some objective has, by its paper's name for it. None has a default of its own: it is the objective's. */
export const objectiveFields = {
  /** Scale of the internal reward r = beta log(pi / pi_ref), or of what stands in its place. */
  beta: positive,
  /** IPO's regularisation; DiscoPOP's temperature. */
  tau: positive,
  /** The fusion coefficient of Eq. 5: rises linearly from 0 to `alpha` over the optimiser steps, or stays there. */
  alpha: z.number().min(0).max(1),
  alpha_schedule: z.enum(["linear", "static"]),
  /** How several source responses share alpha, best first: in equal parts, or in proportion to these numbers. */
  source_weights: z.union([z.literal("equal"), z.array(positive).min(1)]),
  /** How often a preference is the wrong way round. */
  label_smoothing: z.number().min(0).lt(0.5),
  /** SimPO's target margin. */
  gamma: z.number().min(0),
  /** SLiC-HF's margin. */
  delta: z.number().min(0),
  /** Weight of the second of two terms: of the likelihood of y_w, or of ORPO's odds ratio. */
  lambda: z.number().min(0),
  /** KTO's weights of desirable responses and of undesirable ones. */
  desirable_weight: positive,
  undesirable_weight: positive,
  /** R-DPO's price of a token, its paper's alpha. */
  length_alpha: z.number(),
  /** Log-ratios for each token of a response, not for the whole. */
  length_normalised: z.boolean(),
  /** A reference that finds every response equally likely: none is computed. */
  reference_free: z.boolean(),
  /** What the policy is held to the reference by. */
  divergence: z.enum(["reverse_kl", "forward_kl", "js", "alpha"]),
  divergence_alpha: z.number(),
  /** LD-DPO's weight of the tokens beyond the length of the row's shortest response. */
  ld_alpha: z.number().min(0).max(1),
  /** WPO: the loss of a pair counts as the policy itself would give its responses. */
  wpo_weighting: z.boolean(),
} as const;

export type ObjectiveFields = { [Field in keyof typeof objectiveFields]: z.infer<(typeof objectiveFields)[Field]> };

/** What may be changed in the losses of a pair, at the values that change nothing. */
export const pairModifiers = {
  reference_free: false,
  divergence: "reverse_kl",
  divergence_alpha: 0.5,
  ld_alpha: 1,
  wpo_weighting: false,
} as const satisfies Partial<ObjectiveFields>;

/**
 * The objectives that a recipe can name, each with the settings that it has and their values where the recipe is silent:
 * those of the WRPO paper where it has them (appendix A), else those of the objective's own paper as far as they could be
 * verified: docs/guide.md says from where each is.
 */
export const objectiveDefaults = {
  wrpo: { beta: 0.01, alpha: 0.1, alpha_schedule: "linear", source_weights: "equal", label_smoothing: 0 },
  wrpo_simpo: {
    beta: 10,
    gamma: 0,
    alpha: 0.5,
    alpha_schedule: "linear",
    source_weights: "equal",
    label_smoothing: 0,
  },
  wrpo_ipo: { tau: 0.01, alpha: 0.1, alpha_schedule: "linear", source_weights: "equal" },
  wrpo_source_rejected: { beta: 0.01, alpha: 0.1, alpha_schedule: "linear", label_smoothing: 0 },
  dpo: { beta: 0.01, label_smoothing: 0, ...pairModifiers },
  robust: { beta: 0.01, label_smoothing: 0.1, ...pairModifiers },
  hinge: { beta: 0.05, ...pairModifiers },
  ipo: { tau: 0.01, length_normalised: false, ...pairModifiers },
  exo_pair: { beta: 0.1, label_smoothing: 1e-3, ...pairModifiers },
  discopop: { beta: 0.05, tau: 0.05, ...pairModifiers },
  ln_dpo: { beta: 5, label_smoothing: 0, ...pairModifiers },
  r_dpo: { beta: 0.1, length_alpha: 0.05, label_smoothing: 0, ...pairModifiers },
  nca_pair: { beta: 0.01, ...pairModifiers },
  bco_pair: { beta: 0.01, ...pairModifiers },
  sppo_hard: { beta: 0.001, ...pairModifiers },
  apo_zero: { beta: 0.1, reference_free: false, ld_alpha: 1, wpo_weighting: false },
  apo_down: { beta: 0.1, ...pairModifiers },
  aot: { beta: 0.1, label_smoothing: 0, reference_free: false, ld_alpha: 1 },
  aot_unpaired: { beta: 0.1, label_smoothing: 0, reference_free: false, ld_alpha: 1 },
  kto: { beta: 0.1, desirable_weight: 1, undesirable_weight: 1 },
  bco: { beta: 0.01, reference_free: false },
  simpo: { beta: 10, gamma: 1, label_smoothing: 0 },
  cpo: { beta: 0.1, lambda: 1, label_smoothing: 0 },
  orpo: { lambda: 0.1 },
  slic_hf: { delta: 1, lambda: 0.1 },
  rrhf: { lambda: 1 },
  sft: {},
} as const satisfies Readonly<Record<string, Partial<ObjectiveFields>>>;

/** Those that look at no reference, whatever their settings. */
const withoutReference: readonly string[] = [
  "wrpo_simpo",
  "simpo",
  "cpo",
  "orpo",
  "slic_hf",
  "rrhf",
  "sft",
] satisfies ObjectiveName[];

export type ObjectiveName = keyof typeof objectiveDefaults;

/** The settings of an objective. */
export type SettingsOf<Name extends ObjectiveName> = Pick<
  ObjectiveFields,
  keyof (typeof objectiveDefaults)[Name] & keyof ObjectiveFields
>;

const names = Object.keys(objectiveDefaults) as [ObjectiveName, ...ObjectiveName[]];
const optionalFields = z.object(objectiveFields).partial().shape;

/** Whether an objective with these settings looks at a reference. */
export function needsReference(given: Named): boolean {
  if (given.objective === "mixture") return asParts(given.parts).some(needsReference);
  return !withoutReference.includes(given.objective) && given.reference_free !== true;
}

const asParts = (parts: unknown): readonly Named[] => (Array.isArray(parts) ? (parts as Named[]) : []);

interface Named {
  readonly objective: ObjectiveName | "mixture";
  readonly parts?: unknown;
  readonly label_smoothing?: number | undefined;
  readonly reference_free?: boolean | undefined;
  readonly reference_sync_steps?: number | undefined;
  readonly lora?: unknown;
}

/** Refuses settings that the objective named does not have: they would change nothing, and nobody would know. */
export function refuseForeign(given: Named, context: z.core.$RefinementCtx): void {
  const { objective } = given;
  const written = new Map<string, unknown>(Object.entries(given));
  const own: readonly string[] = objective === "mixture" ? ["parts"] : Object.keys(objectiveDefaults[objective]);
  for (const field of ["parts", ...Object.keys(objectiveFields)]) {
    if (written.get(field) === undefined || own.includes(field)) continue;
    const has = own.length === 0 ? "no settings" : own.join(", ");
    context.addIssue({ code: "custom", path: [field], message: `${objective} has no such setting; it has ${has}` });
  }
  if (objective === "mixture" && given.parts === undefined)
    context.addIssue({ code: "custom", path: ["parts"], message: "a mixture needs the objectives that it is made of" });
  if (given.reference_sync_steps !== undefined && !needsReference(given))
    context.addIssue({
      code: "custom",
      path: ["reference_sync_steps"],
      message: `${objective} with these settings looks at no reference that could follow the policy`,
    });
  if (given.reference_sync_steps !== undefined && given.lora !== undefined)
    context.addIssue({
      code: "custom",
      path: ["reference_sync_steps"],
      message: "the reference follows the weights, and lora changes none of them: without lora, or without it",
    });
  if (objective === "exo_pair" && given.label_smoothing === 0)
    context.addIssue({
      code: "custom",
      path: ["label_smoothing"],
      message: "exo_pair needs a label_smoothing above 0: its loss is infinite without",
    });
}

/** The settings of the objective named that were not given, at their defaults. */
export const withDefaults = <Given extends Named>(given: Given): Given =>
  given.objective === "mixture" ? given : { ...objectiveDefaults[given.objective], ...given };

const part = z
  .strictObject({ objective: z.enum(names), weight: positive.default(1), ...optionalFields })
  .superRefine(refuseForeign)
  .overwrite(withDefaults);

/** An objective of a mixture. */
export type PartRecipe = z.infer<typeof part>;

/** The fields by which a recipe chooses an objective; `refuseForeign` and `withDefaults` make them hang together. */
export const objectiveChoice = {
  objective: z.enum([...names, "mixture"]).default("wrpo"),
  ...optionalFields,
  /** The objectives of a mixture: their losses, each times its weight, are added. */
  parts: z.array(part).min(1).optional(),
};
