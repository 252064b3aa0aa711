import { z } from "zod";
import type { Area, BenchmarkResult, Column, Figure, Measured } from "./table.ts";

const count = z.int().min(0);
const share = z.number().min(0).max(1);
const name = z.string().min(1);
const bounds = z.tuple([z.number(), z.number()]);
const intervalSchema = z.object({ low: z.number(), high: z.number(), level: share });

const figureSchema = z.object({
  value: z.number(),
  standardError: z.number().min(0).exactOptional(),
  interval: bounds.exactOptional(),
}) satisfies z.ZodType<Figure>;

const columnSchema = z.object({
  key: name,
  title: z.string().min(1),
  unit: z.enum(["%", "points", "characters", "tokens"]),
}) satisfies z.ZodType<Column>;

const itemSchema = z.object({
  id: z.string(),
  value: z.number(),
  category: z.string().exactOptional(),
  question: z.string().exactOptional(),
  answer: z.string().exactOptional(),
  words: z.string().exactOptional(),
});

const areaSchema = z.object({
  name,
  categories: z.array(z.string()),
  figure: figureSchema,
}) satisfies z.ZodType<Area>;

const measuredSchema = z.object({
  model: name,
  figures: z.record(z.string(), figureSchema.nullable()),
  items: z.array(itemSchema),
  categories: z.record(z.string(), figureSchema),
  areas: z.array(areaSchema).exactOptional(),
  length: z.number().min(0).exactOptional(),
  failed: count,
  notes: z.array(z.string()),
}) satisfies z.ZodType<Measured>;

const head = {
  benchmark: name,
  kind: name,
  judge: z.string().nullable(),
  official: z.boolean(),
  columns: z.array(columnSchema).min(1),
};

/** Parses a benchmark's outcome that was stored. */
export const benchmarkResultSchema = z.object({
  ...head,
  models: z.array(measuredSchema),
}) satisfies z.ZodType<BenchmarkResult>;

/** Lengths of one model's answers in code points. */
const lengthsSchema = z.object({
  model: name,
  /** As the benchmark computes it. */
  mean: z.number().min(0).nullable(),
  /** Those whose text is known: the next three are of them. */
  answers: count,
  median: z.number().nullable(),
  shortest: count.nullable(),
  longest: count.nullable(),
});
export type Lengths = z.infer<typeof lengthsSchema>;

const partSchema = z.object({
  name: z.string(),
  models: z.array(z.object({ model: name, figure: figureSchema.nullable(), questions: count })),
});
/** A part of a benchmark's questions with the models' main figures: a category, or several together. */
export type BoardPart = z.infer<typeof partSchema>;

const boardBenchmarkSchema = z.object({
  ...head,
  /** Whether every main figure is the mean over the questions' values: otherwise tests speak of something else than it. */
  figureIsMean: z.boolean(),
  models: z.array(
    z.object({
      model: name,
      figures: z.record(z.string(), figureSchema.nullable()),
      /** With a verdict. */
      questions: count,
      failed: count,
      notes: z.array(z.string()),
    }),
  ),
  /** Empty where no answer's length is known. */
  lengths: z.array(lengthsSchema),
  categories: z.array(partSchema),
  /** Of benchmarks whose categories have figures together. */
  areas: z.array(partSchema.extend({ categories: z.array(z.string()) })).exactOptional(),
  questions: z.array(z.object({ id: z.string(), category: z.string().exactOptional() })),
  /** In the order of the questions; null where there is no verdict. */
  values: z.array(z.object({ model: name, values: z.array(z.number().nullable()) })),
});
export type BoardBenchmark = z.infer<typeof boardBenchmarkSchema>;

const pairSchema = z.object({
  benchmark: name,
  a: name,
  b: name,
  /** That both have a verdict for: only they are compared. */
  questions: count,
  onlyA: count,
  onlyB: count,
  /** Null where no question has verdicts for both. */
  outcome: z
    .object({
      meanA: z.number(),
      meanB: z.number(),
      /** meanA - meanB in the unit of the main column, with the paired bootstrap interval over questions. */
      difference: z.number(),
      interval: intervalSchema,
      /** Two-sided, sign flips over questions. */
      pValue: share,
      /** Corrected over all pairs of all benchmarks, by Holm, and by Benjamini and Hochberg. */
      holm: share,
      benjaminiHochberg: share,
      /** By the interval and Holm's p-value, at 5 %. */
      better: z.enum(["a", "b", "none"]),
      wins: count,
      ties: count,
      losses: count,
      /** (wins + ties / 2) / questions, with Wilson's interval. */
      winRate: share,
      winRateInterval: intervalSchema,
      /** Of the questions that were won by one of two answers of different length: how often the longer one won. */
      longer: z.object({ won: count, of: count }).nullable(),
    })
    .nullable(),
  sentence: z.string().min(1),
});
export type PairComparison = z.infer<typeof pairSchema>;
export type ComparedPair = NonNullable<PairComparison["outcome"]>;

const leftOutSchema = z.array(z.object({ benchmark: name, models: z.array(name) }));

const overallSchema = z.object({
  /** Means over the main figures of benchmarks of one unit, each counting the same; only where all models have them. */
  means: z.array(
    z.object({
      unit: columnSchema.shape.unit,
      benchmarks: z.array(name),
      official: z.boolean(),
      models: z.array(z.object({ model: name, value: z.number(), standardError: z.number().nullable() })),
    }),
  ),
  /** Mean rank, 1 the best, equals sharing the mean of their places; of benchmarks of any unit. Null for less than two models. */
  rank: z
    .object({
      benchmarks: z.array(name),
      official: z.boolean(),
      models: z.array(z.object({ model: name, value: z.number() })),
    })
    .nullable(),
  /** Benchmarks that count in none of them, and the models that have no figure there. */
  leftOut: leftOutSchema,
});
export type Overall = z.infer<typeof overallSchema>;

const sideSchema = z.object({
  value: z.number(),
  answer: z.string().exactOptional(),
  words: z.string().exactOptional(),
});
const movedSchema = z.object({
  id: z.string(),
  category: z.string().exactOptional(),
  question: z.string().exactOptional(),
  /** The model's value minus the baseline's. */
  difference: z.number(),
  model: sideSchema,
  baseline: sideSchema,
});
export type Moved = z.infer<typeof movedSchema>;

const focusSchema = z.object({
  model: name,
  baseline: name,
  benchmarks: z.array(
    z.object({
      benchmark: name,
      /** How many questions changed which way. */
      better: count,
      same: count,
      worse: count,
      /** The most changed first. */
      gained: z.array(movedSchema),
      lost: z.array(movedSchema),
    }),
  ),
});
export type Focus = z.infer<typeof focusSchema>;

/** Parses a leaderboard that was stored. */
export const leaderboardSchema = z.object({
  version: z.literal(1),
  name,
  models: z.array(name),
  resampling: z.object({ resamples: z.int().min(1), seed: z.int() }),
  benchmarks: z.array(boardBenchmarkSchema),
  overall: overallSchema,
  /** Of every two models on every benchmark; `a` stands before `b` among the models. */
  comparisons: z.array(pairSchema),
  /** Null where no two models were named. */
  focus: focusSchema.nullable(),
});
export type Leaderboard = z.infer<typeof leaderboardSchema>;
