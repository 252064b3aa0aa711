import { z } from "zod";
import { endpointSchema, scoringEndpointSchema, thinkingSchema } from "./endpoint.ts";
import { ledgerSchema } from "./ledger.ts";
import { objectiveChoice, refuseForeign, withDefaults } from "./objectives.ts";
import {
  activationCheckpointing,
  optimiserChoice,
  refuseForeignOptimiser,
  refuseForeignSchedule,
  refuseFrozenBase,
  scheduleChoice,
  weightRules,
  withOptimiserDefaults,
  withScheduleDefaults,
} from "./optimisation.ts";
import { promptSetSchema, trainingPromptsSchema } from "./prompts.ts";
import { recordedSchema } from "./recorded.ts";
import { checkSpecSchema, samplingSchema } from "./records.ts";
import { selectionSchema } from "./selection.ts";
import { microBatchTokens, refuseBlind, watchingFields } from "./watching.ts";

/** A suite: its file, or the name of one that comes with Amalgam. */
const suiteUseSchema = z.strictObject({
  suite: z.string().min(1),
  /** The folder in which the suite's files lie; its own without. */
  data: z.string().min(1).optional(),
});
export type SuiteUse = z.infer<typeof suiteUseSchema>;

/** A name that may be a folder's. */
export const nameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "letters, digits, '.', '_' and '-' only");
const positive = z.number().gt(0);

export const precisionSchema = z.enum(["auto", "fp32", "bf16"]);
export type Precision = z.infer<typeof precisionSchema>;

/**
 * An embedded model: a Hugging Face folder or GGUF file by path, a hub id (`owner/name`, or `owner/name:file.gguf`),
 * or one of the packages that carry a small model (`package:smollm2-135m-instruct`).
 */
export const modelSchema = z.strictObject({
  model: z.string().min(1),
  precision: precisionSchema.default("auto"),
  device: z.string().default("cpu"),
  /** Jinja text that replaces the model's own chat template; needed where a base model has none. */
  chat_template: z.string().min(1).optional(),
  /** A folder of LoRA adapters, as PEFT writes it, that are merged into the model. */
  adapter: z.string().min(1).optional(),
});
export type ModelRecipe = z.infer<typeof modelSchema>;

/** A model that writes responses. */
const respondingModelSchema = z.strictObject({ ...modelSchema.shape, thinking: thinkingSchema });

const samplingOverrides = samplingSchema.partial();

/** How a source is asked otherwise than the others. */
const asked = {
  sampling: samplingOverrides.default({}),
  /** A system message before every prompt that has none of its own; the training sees the prompts without it. */
  system: z.string().min(1).optional(),
};

const sourceSchema = z.union(
  [
    z.strictObject({ name: nameSchema, ...respondingModelSchema.shape, ...asked }),
    z.strictObject({ name: nameSchema, endpoint: endpointSchema, ...asked }),
    z.strictObject({ name: nameSchema, recorded: recordedSchema, sampling: samplingOverrides.default({}) }),
  ],
  { error: "a source has a name and one of `model`, `endpoint` and `recorded`" },
);
export type SourceRecipe = z.infer<typeof sourceSchema>;

const judgeFields = {
  /** What the judge is told; `{prompt}`, `{response}` and `{reference}` stand for the texts. */
  rubric: z.string().min(1).optional(),
  /** The column of the prompts' rows with a reference answer, which the rubric shows; of a prompt that may lack it, nothing is said then. */
  reference: z.strictObject({ column: z.string().min(1), optional: z.boolean().default(false) }).optional(),
  /** Lowest and highest rating; the expected value is mapped linearly to 0..1. */
  scale: z.tuple([z.int().min(0), z.int().max(10)]).default([1, 5]),
  /** Read by the ratings' probabilities, or written as JSON that the judge is held to: the rating alone, or after reasons. */
  answer: z.enum(["probabilities", "rating", "reasoned"]).default("probabilities"),
  /** Compares the responses to a prompt instead of rating each: two at a time, or several. */
  compare: z.enum(["pairs", "list"]).optional(),
  /** How many others a response is compared with; all, in a list at most eight. */
  opponents: z.int().min(1).optional(),
  weight: positive.default(1),
};

const rewardModelFields = {
  /** Tokens of a conversation, the response included; without it, as many as the model's context has. */
  max_length: z.int().min(2).optional(),
  /** What becomes of a longer one: no score, or its end is cut off. */
  overlong: z.enum(["fail", "cut"]).default("fail"),
  /** Of a classifier with several labels: what each counts in the reward, their weighted sum. */
  label_weights: z.array(z.number()).min(2).optional(),
  /** Of a process reward: what the steps of a response are, and what their values come to. */
  steps: z
    .strictObject({
      /** Parts the steps. */
      separator: z.string().min(1).default("\n\n"),
      /** Stands after each step; the model judges it there. */
      token: z.string().regex(/\S/u, "is blank").default("<extra_0>"),
      /** Stands between a step with its token and the next. */
      joined_by: z.string().default(""),
      value: z.enum(["min", "last", "mean", "product"]).default("min"),
      /** Of a language model: the tokens that it writes after a good step, and after a bad one. */
      labels: z.tuple([z.string().min(1), z.string().min(1)]).optional(),
    })
    .optional(),
  /** Of a model that compares: how the responses to a prompt are put against each other. */
  pairs: z
    .strictObject({
      /** How many others a response meets; all of them without. */
      opponents: z.int().min(1).optional(),
      /** The mean of the logits, or of the chance to win that they stand for. */
      value: z.enum(["logit", "chance"]).default("logit"),
      /** Tokens of the prompt, and of each response; what the prompt leaves, the responses share. */
      source_tokens: z.int().min(4).default(1224),
      candidate_tokens: z.int().min(4).default(412),
    })
    .optional(),
  weight: positive.default(1),
};

const codeFields = {
  /** The share of tests passed, or 1 where all are and else 0. */
  score: z.enum(["share", "all"]).default("share"),
  /** Which fenced blocks of a response are its code; `whole`: it is code as it stands. */
  code_from: z.enum(["last", "first", "all", "whole"]).default("last"),
  /** Of a test, processor time; three times as much may pass on the clock. */
  timeout_seconds: positive.max(3600).default(10),
  /** Of a test, all its processes together. */
  memory_mb: z
    .int()
    .min(64)
    .max(2 ** 20)
    .default(512),
  weight: positive.default(1),
};

/** How a reward takes part in the whole, whatever its kind. */
const compositionFields = {
  /** Values beyond are these. */
  clip: z.tuple([z.number(), z.number()]).optional(),
  /** The least value with which it lets the others count; below, the whole is `otherwise`. It has no share of its own. */
  gate: z.number().optional(),
  /** 0 unless given. */
  otherwise: z.number().optional(),
};

const endpointRewardFields = {
  /** What calls and answers look like: Amalgam's own contract, OpenRLHF's reward servers, vLLM's `/score` and `/pooling`. */
  protocol: z.enum(["scores", "openrlhf", "vllm_score", "vllm_pooling"]).default("scores"),
  /** Responses in a call. */
  batch_size: z.int().min(1).max(1024).default(16),
  /** Which of several numbers for a response is its reward, from 0 on. */
  label: z.int().min(0).optional(),
  weight: positive.default(1),
};

const endpointRewardSchema = z
  .strictObject({
    kind: z.literal("endpoint"),
    name: nameSchema,
    endpoint: scoringEndpointSchema,
    ...endpointRewardFields,
    ...compositionFields,
  })
  .superRefine(({ endpoint, protocol }, context) => {
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: "custom", path: ["endpoint", field], message });
    if (protocol.startsWith("vllm") && endpoint.model === undefined)
      refuse("model", "vLLM wants the name of its model");
    if (protocol === "openrlhf" && endpoint.chat_template === undefined)
      refuse("chat_template", "these servers are sent one text, and so need a template that makes it of the messages");
    if (protocol === "scores" && endpoint.chat_template !== undefined)
      refuse("chat_template", "this protocol sends the messages as they are");
  });

const rewardSchema = z.union(
  [
    z.strictObject({
      kind: z.literal("checks"),
      name: nameSchema.optional(),
      /** Of every prompt; those of the prompts' rows without. */
      checks: z.array(checkSpecSchema).min(1).optional(),
      weight: positive.default(1),
      ...compositionFields,
    }),
    z.strictObject({ kind: z.literal("code"), ...codeFields, ...compositionFields }),
    z.strictObject({
      kind: z.literal("judge"),
      name: nameSchema,
      ...modelSchema.shape,
      ...judgeFields,
      ...compositionFields,
    }),
    z.strictObject({
      kind: z.literal("judge"),
      name: nameSchema,
      endpoint: endpointSchema,
      ...judgeFields,
      ...compositionFields,
    }),
    z.strictObject({
      kind: z.literal("model"),
      name: nameSchema,
      ...modelSchema.omit({ adapter: true }).shape,
      ...rewardModelFields,
      ...compositionFields,
    }),
    endpointRewardSchema,
  ],
  {
    error:
      "a reward is {kind: checks}, {kind: code}, {kind: judge, name, model | endpoint}, {kind: model, name, model} or {kind: endpoint, name, endpoint}",
  },
);
export type RewardRecipe = z.infer<typeof rewardSchema>;

/** The fields of every training; `learningRate` is the default peak. */
export const optimisation = (learningRate: number) => ({
  learning_rate: positive.default(learningRate),
  epochs: positive.default(1),
  /** Rows an optimiser step: packed sequences in SFT, quadruples in preference training. */
  batch_size: z.int().min(1).default(128),
  micro_batch_tokens: microBatchTokens.default(4096),
  ...scheduleChoice,
  ...weightRules,
  ...optimiserChoice,
  max_grad_norm: positive.default(1),
  /** Tokens of prompt and response together; a longer row is counted and handled as `overlong` says. */
  max_length: z.int().min(8).default(2048),
  max_prompt_length: z.int().min(4).default(1800),
  overlong: z.enum(["drop", "keep_end", "error"]).default("drop"),
  precision: precisionSchema.default("auto"),
  activation_checkpointing: activationCheckpointing.default("none"),
  checkpoint_every_steps: z.int().min(1).default(50),
  ...watchingFields,
});

const sftSchema = z
  .strictObject({
    /** Without supervised tuning, WRPO starts from the target as it is, on the same prompts. */
    enabled: z.boolean().default(true),
    ...optimisation(7e-6),
  })
  .superRefine(refuseForeignOptimiser)
  .superRefine(refuseForeignSchedule)
  .superRefine(refuseFrozenBase)
  .superRefine(refuseBlind)
  .overwrite(withOptimiserDefaults)
  .overwrite(withScheduleDefaults);
export type SftRecipe = z.infer<typeof sftSchema>;

/** The fields of a preference training, besides those of every training; `refuseForeign` and `withDefaults` make them hang together. */
export const preferenceFields = {
  ...objectiveChoice,
  /** How rows become tokens: as the model sees them at inference, or as the reference code of WRPO makes them, defects included. */
  tokenisation: z.enum(["own", "wrpo_reference"]).default("own"),
  /** Optimiser steps after which the reference takes a share of the policy, each time; never unless given. */
  reference_sync_steps: z.int().min(1).optional(),
  /** The share. */
  reference_sync_alpha: z.number().gt(0).max(1).default(0.6),
};

const wrpoSchema = z
  .strictObject({ ...optimisation(3e-7), ...preferenceFields })
  .superRefine(refuseForeign)
  .superRefine(refuseForeignOptimiser)
  .superRefine(refuseForeignSchedule)
  .superRefine(refuseFrozenBase)
  .superRefine(refuseBlind)
  .overwrite(withDefaults)
  .overwrite(withOptimiserDefaults)
  .overwrite(withScheduleDefaults);
export type WrpoRecipe = z.infer<typeof wrpoSchema>;

export type OptimisationRecipe = Omit<SftRecipe, "enabled">;

/** Where the figures of each optimiser step go beside the JSONL file that is always written. */
export const loggingSchema = z.strictObject({
  /** Event files that TensorBoard opens. */
  tensorboard: z.boolean().default(false),
  /** An offline run of Weights & Biases that `wandb sync` uploads; nothing is sent by itself. */
  wandb: z
    .strictObject({
      project: z.string().min(1),
      entity: z.string().min(1).optional(),
      /** The run's name; the recipe's with the stage's without. */
      name: z.string().min(1).optional(),
      group: z.string().min(1).optional(),
      tags: z.array(z.string().min(1)).default([]),
    })
    .optional(),
});
export type LoggingRecipe = z.infer<typeof loggingSchema>;

export const recipeSchema = z.strictObject({
  name: nameSchema.default("run"),
  seed: z.int().min(0).max(0xffff_ffff).default(42),
  /** Where several machines work on one run; a file of the run folder without. */
  ledger: ledgerSchema.optional(),
  prompts: trainingPromptsSchema,
  target: respondingModelSchema,
  sources: z.array(sourceSchema).min(1),
  sampling: z
    .strictObject({
      /** Responses of each source to each prompt, and of the tuned target. */
      n: z.int().min(1).default(5),
      temperature: samplingSchema.shape.temperature.default(0.8),
      top_p: samplingSchema.shape.top_p.default(0.95),
      top_k: samplingSchema.shape.top_k.default(0),
      max_tokens: samplingSchema.shape.max_tokens.default(2048),
      stop: samplingSchema.shape.stop.default([]),
      // A token's id means something to one model only: logit_bias is a source's own.
      ...samplingSchema.pick({
        min_p: true,
        repetition_penalty: true,
        presence_penalty: true,
        frequency_penalty: true,
        min_tokens: true,
        regex: true,
        json_schema: true,
      }).shape,
    })
    .prefault({}),
  /** What the answers of endpoints may cost: all sources, judges and attempts of this run together. */
  budget: z.strictObject({ money: positive.optional(), tokens: z.int().min(1).optional() }).default({}),
  rewards: z.array(rewardSchema).min(1),
  selection: selectionSchema.prefault({}),
  sft: sftSchema.prefault({}),
  wrpo: wrpoSchema.prefault({}),
  logging: loggingSchema.prefault({}),
  evaluation: z.strictObject({
    prompts: promptSetSchema,
    /** Responses for each held-out prompt and model. */
    k: z.int().min(1).default(4),
    /** Whether each model is asked how probable it finds the responses that WRPO learns from. */
    log_probs: z.boolean().default(false),
    sampling: samplingSchema.omit({ seed: true }).partial().default({}),
    bootstrap: z.int().min(100).default(10_000),
    /** Suites that the models before and after are measured by, too. */
    suites: z.array(suiteUseSchema).min(1).optional(),
  }),
});

/** A recipe as resolved: every default is filled in. */
export type Recipe = z.infer<typeof recipeSchema>;
/** A recipe as written. */
export type RecipeInput = z.input<typeof recipeSchema>;
