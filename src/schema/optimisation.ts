import { z } from "zod";

const positive = z.number().gt(0);
const decay = z.number().min(0).lt(1);

/** Every setting that some optimiser has. None has a default of its own: it is the optimiser's. */
const optimiserFields = {
  adam_beta1: decay,
  adam_beta2: decay,
  adam_epsilon: positive,
  /** Of the first moment; 0 keeps none. */
  adafactor_beta1: decay,
  /** The second moment of step t decays by 1 - t^-rate. */
  adafactor_decay_rate: positive.max(1),
  /** Most that the root mean square of an update comes to, before the learning rate. */
  adafactor_clip_threshold: positive,
  adafactor_epsilon: positive,
  /** Learning rates by the root mean square of a weight, which counts as no less than `adafactor_scale_epsilon`. */
  adafactor_scale_parameter: z.boolean(),
  adafactor_scale_epsilon: positive,
  lion_beta1: decay,
  lion_beta2: decay,
  momentum: decay,
  nesterov: z.boolean(),
} as const;

type OptimiserFields = { [Field in keyof typeof optimiserFields]: z.infer<(typeof optimiserFields)[Field]> };

/** The optimisers that a recipe can name, each with the settings that it has and their values where the recipe is silent. */
export const optimiserDefaults = {
  adamw: { adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8 },
  adafactor: {
    adafactor_beta1: 0,
    adafactor_decay_rate: 0.8,
    adafactor_clip_threshold: 1,
    adafactor_epsilon: 1e-30,
    adafactor_scale_parameter: false,
    adafactor_scale_epsilon: 1e-3,
  },
  lion: { lion_beta1: 0.9, lion_beta2: 0.99 },
  sgd: { momentum: 0.9, nesterov: false },
} as const satisfies Readonly<Record<string, Partial<OptimiserFields>>>;

export type OptimiserName = keyof typeof optimiserDefaults;

const names = Object.keys(optimiserDefaults) as [OptimiserName, ...OptimiserName[]];

/** The fields by which a recipe chooses an optimiser; `refuseForeignOptimiser` and `withOptimiserDefaults` make them hang together. */
export const optimiserChoice = {
  optimiser: z.enum(names).default("adamw"),
  ...z.object(optimiserFields).partial().shape,
};

type OptimiserChoice = { readonly optimiser: OptimiserName } & {
  readonly [Field in keyof OptimiserFields]?: OptimiserFields[Field] | undefined;
};

/** Refuses settings that the optimiser named does not have: they would change nothing, and nobody would know. */
export function refuseForeignOptimiser(given: OptimiserChoice, context: z.core.$RefinementCtx): void {
  const own = Object.keys(optimiserDefaults[given.optimiser]);
  for (const field of Object.keys(optimiserFields) as (keyof OptimiserFields)[]) {
    if (given[field] === undefined || own.includes(field)) continue;
    const message = `${given.optimiser} has no such setting; it has ${own.join(", ")}`;
    context.addIssue({ code: "custom", path: [field], message });
  }
  if (given.nesterov === true && given.momentum === 0)
    context.addIssue({ code: "custom", path: ["nesterov"], message: "looks ahead along a momentum, which is 0 here" });
}

/** The settings of the optimiser named that were not given, at their defaults. */
export const withOptimiserDefaults = <Given extends OptimiserChoice>(given: Given): Given => ({
  ...optimiserDefaults[given.optimiser],
  ...given,
});

/** The fields by which a recipe chooses its learning rates; `refuseForeignSchedule` and `withScheduleDefaults` make them hang together. */
export const scheduleChoice = {
  schedule: z.enum(["constant", "linear", "cosine", "wsd"]).default("cosine"),
  /** Share of the steps over which the learning rate rises; or `warmup_steps`, their number. */
  warmup_ratio: decay.optional(),
  warmup_steps: z.int().min(0).optional(),
  /** Share of the steps over which `wsd` falls to 0, the last ones. */
  decay_ratio: positive.max(1).optional(),
  /** How it falls. */
  decay_shape: z.enum(["linear", "cosine", "1-sqrt"]).optional(),
};

const wsdDefaults = { decay_ratio: 0.2, decay_shape: "1-sqrt" } as const;

type ScheduleChoice = Readonly<z.infer<z.ZodObject<typeof scheduleChoice>>>;

/** Refuses what would change nothing: settings of another schedule, a warm-up given twice. */
export function refuseForeignSchedule(given: ScheduleChoice, context: z.core.$RefinementCtx): void {
  const refuse = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
  for (const field of ["decay_ratio", "decay_shape"] as const)
    if (given.schedule !== "wsd" && given[field] !== undefined)
      refuse(field, `${given.schedule} has no such setting; it is one of wsd`);
  if (given.warmup_steps !== undefined && given.warmup_ratio !== undefined)
    refuse("warmup_steps", "warmup_ratio says how long the warm-up is, too: write one of the two");
}

/** The settings of the schedule named that were not given, at their defaults. */
export const withScheduleDefaults = <Given extends ScheduleChoice>(given: Given): Given => ({
  ...(given.warmup_steps === undefined ? { warmup_ratio: 0.1 } : {}),
  ...(given.schedule === "wsd" ? wsdDefaults : {}),
  ...given,
});

/** Components of a weight's name, `*` for any part of one. */
const weightPattern = z
  .string()
  .regex(/^[\w*]+(\.[\w*]+)*$/, "parts of a weight's name with dots between them, like layers.*.mlp or embed_tokens");

/** Whose activations are dropped after the forward pass and computed again in the backward: no layer's, every second's, all. */
export const activationCheckpointing = z.enum(["none", "selective", "layer"], {
  error: ({ input }) =>
    typeof input === "boolean" ? "true is written `layer` now, and false `none`; `selective` lies between" : undefined,
});

/** Adapters that are trained in the place of the weights. */
export const loraSchema = z.strictObject({
  rank: z.int().min(1).default(16),
  alpha: positive.default(32),
  /** Share of an adapter's inputs that are dropped. */
  dropout: decay.default(0),
  /** Projections of the layers, by the ends of their names. */
  target_modules: z.union([z.literal("all-linear"), z.array(weightPattern).min(1)]).default("all-linear"),
  rslora: z.boolean().default(false),
  dora: z.boolean().default(false),
});
export type LoraRecipe = z.infer<typeof loraSchema>;

/** The fields that treat weights differently. */
export const weightRules = {
  weight_decay: z.number().min(0).default(0),
  /** The first that matches a weight decides; biases and norms have no decay where none does. */
  weight_decay_rules: z.array(z.strictObject({ match: weightPattern, weight_decay: z.number().min(0) })).default([]),
  /** Learning rate of a layer over that of the next one; embeddings stand before the first, the output after the last. */
  layer_learning_rate_decay: positive.max(1).default(1),
  /** Weights that stay as they are. */
  frozen: z.array(weightPattern).default([]),
  /** Decay of an exponential moving average of the weights, taken after each step; the model saved is the average then. */
  ema_decay: positive.lt(1).optional(),
  /** Train adapters and merge them in the end; without it all weights are trained. */
  lora: loraSchema.optional(),
};

type WeightRules = Readonly<z.infer<z.ZodObject<typeof weightRules>>>;

/** Refuses what would change nothing: to freeze weights of which none is trained. */
export function refuseFrozenBase(given: WeightRules, context: z.core.$RefinementCtx): void {
  if (given.lora !== undefined && given.frozen.length > 0)
    context.addIssue({
      code: "custom",
      path: ["frozen"],
      message: "lora trains its adapters only: choose among them by lora.target_modules",
    });
}
