import { z } from "zod";
import { endpointSchema, thinkingSchema } from "./endpoint.ts";
import { modelSchema, nameSchema } from "./recipe.ts";
import { samplingSchema } from "./records.ts";

const file = z.string().min(1);
const positive = z.number().gt(0);
/** So many of the questions, from the first on; all of them without. */
const limit = z.int().min(1).optional();
/** The random stream and the temperature are the benchmark's own. */
const sampling = samplingSchema.omit({ seed: true }).partial().default({});

/** A model on this machine or a server that says which answers are better. */
const judgeSchema = z.union(
  [
    z.strictObject({ name: nameSchema.optional(), ...modelSchema.shape, thinking: thinkingSchema }),
    z.strictObject({ name: nameSchema.optional(), endpoint: endpointSchema }),
  ],
  { error: "a judge has one of `model` and `endpoint`, and may have a `name`" },
);
export type JudgeOfSuite = z.infer<typeof judgeSchema>;

/** A model that is evaluated. */
const contestantSchema = z.union(
  [
    z.strictObject({
      name: nameSchema,
      ...modelSchema.shape,
      thinking: thinkingSchema,
      system: z.string().min(1).optional(),
    }),
    z.strictObject({ name: nameSchema, endpoint: endpointSchema, system: z.string().min(1).optional() }),
    /** Of answers that are there already: the file of each benchmark, by the benchmark's name. */
    z.strictObject({ name: nameSchema, outputs: z.record(nameSchema, file) }),
  ],
  { error: "a model has a name and one of `model`, `endpoint` and `outputs`" },
);
export type ContestantRecipe = z.infer<typeof contestantSchema>;

const judged = { judge: judgeSchema.optional(), limit, sampling };
/** Of judges that explain themselves and close with a verdict. */
const judgedInWords = {
  ...judged,
  /** Whether the judge writes as it likes, or is held to a short explanation with a verdict behind it, which only a model on this machine can be. Held, such a one; as it likes, a server. */
  verdict: z.enum(["free", "constrained"]).optional(),
  /** How often a judge is asked until its words have a verdict. */
  attempts: z.int().min(1).max(5).default(2),
  /** The most tokens that the judge may write; as the official tool has it without. */
  judge_max_tokens: z.int().min(1).optional(),
};

const alpacaEvalSchema = z.strictObject({
  kind: z.literal("alpaca_eval"),
  name: nameSchema.default("alpaca_eval"),
  /** alpaca-eval's file of instructions with the baseline's outputs, or prompts without. */
  questions: file,
  /** The baseline's `model_outputs.json`, where the questions have none. */
  baseline: file.optional(),
  /** AlpacaEval's `df_gamed.csv`: lengths are controlled by it. */
  gamed: file.optional(),
  /** AlpacaEval's own prompt of the judge; Amalgam's own without. */
  prompt: file.optional(),
  /** Read from the log-probs of the judge's first token; or a label that it writes, for endpoints without log-probs: never official. */
  preference: z.enum(["logprobs", "written"]).default("logprobs"),
  /** How numpy orders ties, on which the folds of the length control hang: without vector instructions, or with AVX-512. */
  fold_order: z.enum(["scalar", "avx512"]).default("scalar"),
  ...judged,
});

const arenaHardSchema = z.strictObject({
  kind: z.literal("arena_hard"),
  name: nameSchema.default("arena_hard"),
  version: z.enum(["v0.1", "v2.0"]).default("v0.1"),
  questions: file,
  /** The baseline's answers, in one of the official formats. */
  baseline: file,
  /** Those that creative writing is compared with: v2.0 has another baseline there. */
  creative_baseline: file.optional(),
  /** Arena-Hard's own configuration with the judge's prompts; Amalgam's own prompts without. */
  prompt: file.optional(),
  /** Resamples of the intervals; the official tool takes 100. */
  bootstrap: z.int().min(2).default(100),
  ...judgedInWords,
});

const mtBenchSchema = z.strictObject({
  kind: z.literal("mt_bench"),
  name: nameSchema.default("mt_bench"),
  questions: file,
  /** Reference answers to questions of math, reasoning and coding; the questions' own without. */
  references: file.optional(),
  /** MT-Bench's own `judge_prompts.jsonl`; Amalgam's own prompts without. */
  prompt: file.optional(),
  /** Each answer is rated by itself, or compared with the baseline's. */
  mode: z.enum(["single", "pairwise"]).default("single"),
  /** With `mode: pairwise`: the name of the model that the others are compared with. */
  baseline: nameSchema.optional(),
  ...judgedInWords,
});

const taskSchema = z.strictObject({
  kind: z.literal("task"),
  name: nameSchema.optional(),
  /** A task that Amalgam has, or a YAML file of one. */
  task: z.string().min(1),
  /** Where its documents are: a file, or a folder as the data set has. */
  data: file,
  /** Examples before each question; as the Open LLM Leaderboard has it without. */
  shots: z.int().min(0).optional(),
  limit,
  micro_batch_tokens: z.int().min(64).default(1024),
});

export const benchmarkSchema = z.discriminatedUnion("kind", [
  alpacaEvalSchema,
  arenaHardSchema,
  mtBenchSchema,
  taskSchema,
]);
export type BenchmarkRecipe = z.infer<typeof benchmarkSchema>;
export type BenchmarkRecipeOf<Kind extends BenchmarkRecipe["kind"]> = Extract<BenchmarkRecipe, { kind: Kind }>;

/** What models are measured by. */
export const suiteSchema = z.strictObject({
  name: nameSchema.default("suite"),
  seed: z.int().min(0).max(0xffff_ffff).default(42),
  /** Models that are always evaluated, beside those of the command line. */
  models: z.array(contestantSchema).default([]),
  /** Of every benchmark that names no judge of its own. */
  judge: judgeSchema.optional(),
  benchmarks: z.array(benchmarkSchema).min(1),
  /** What the answers of endpoints may cost, judges' and models' together. */
  budget: z.strictObject({ money: positive.optional(), tokens: z.int().min(1).optional() }).default({}),
  /** Whose gains and losses are shown, and against whom: names of models. The last one's against the first's without. */
  focus: z.strictObject({ model: nameSchema, baseline: nameSchema }).optional(),
  /** Resamples of every interval and test. */
  bootstrap: z.int().min(100).default(10_000),
});
export type Suite = z.infer<typeof suiteSchema>;
