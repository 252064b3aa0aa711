import { philox } from "../../schema/index.ts";
import type { BenchmarkResult, Figure, Item, Measured } from "../index.ts";

/** How good the models of the synthetic suite are, in standard deviations. */
const skills = { target: 0, sft: 0.25, fused: 0.9 } as const;
type Name = keyof typeof skills;
const names = Object.keys(skills) as Name[];

const mtCategories = ["writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"];
const subjects = ["abstract_algebra", "anatomy", "astronomy", "business_ethics"];

const hostile =
  '<script>alert("x")</script> & a | b, \u202etxt.exe\u202c, \u05e9\u05dc\u05d5\u05dd, \u0007bell, ```fence```, "quoted"\r\nnext line \ud83d\ude00';

/** Uniform in [0, 1), the same for the same two numbers. */
function uniform(stream: number, at: number): number {
  const words = new Uint32Array(4);
  philox([at, stream, 77, 0], [7, 0], words);
  return words[0]! / 2 ** 32;
}

function normal(stream: number, at: number): number {
  return Math.sqrt(-2 * Math.log(1 - uniform(stream, 2 * at))) * Math.cos(2 * Math.PI * uniform(stream, 2 * at + 1));
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function figureOf(values: readonly number[]): Figure {
  const value = meanOf(values);
  const square = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / Math.max(1, values.length - 1);
  return { value, standardError: Math.sqrt(square / values.length) };
}

interface Plan {
  readonly stream: number;
  readonly questions: number;
  readonly toValue: (quality: number) => number;
  readonly categories?: readonly string[];
  readonly answers?: boolean;
  /** Of each model's questions, one in so many has no verdict. */
  readonly failEach?: Partial<Record<Name, number>>;
}

function measured(model: Name, { stream, questions, toValue, categories, answers, failEach }: Plan): Measured {
  const items: Item[] = [];
  const each = failEach?.[model];
  for (let at = 0; at < questions; at += 1) {
    if (each !== undefined && at % each === each - 1) continue;
    const quality = skills[model] + normal(stream, at) + 0.8 * normal(stream + 10 + names.indexOf(model), at);
    const category = categories?.[at % categories.length];
    const words = Math.max(3, Math.round(40 + 25 * quality));
    items.push({
      id: `q${at + 1}`,
      value: toValue(quality),
      ...(category === undefined ? {} : { category }),
      ...(answers !== true
        ? {}
        : {
            question: `Question ${at + 1}: why is ${category ?? "the sky"} as it is?${at % 7 === 0 ? ` ${hostile}` : ""}`,
            answer: `${model} says: ${Array.from({ length: words }, (_, n) => `word${n}`).join(" ")}${at % 5 === 0 ? ` ${hostile}` : ""}`,
            words: `The answer is ${quality > 0 ? "helpful" : "thin"}. Rating: [[${Math.round(5 + quality)}]]`,
          }),
    });
  }
  const inCategory = (name: string) => items.filter(({ category }) => category === name).map(({ value }) => value);
  const lengths = items.flatMap(({ answer }) => (answer === undefined ? [] : [[...answer].length]));
  return {
    model,
    figures: { main: figureOf(items.map(({ value }) => value)) },
    items,
    categories: Object.fromEntries((categories ?? []).map((name) => [name, figureOf(inCategory(name))])),
    ...(lengths.length === 0 ? {} : { length: meanOf(lengths) }),
    failed: questions - items.length,
    notes: [],
  };
}

/**
 * Four benchmarks of three models that look like real ones: a judged one with controlled lengths, a rated one with categories, two
 * tasks; failures, a figure that is missing, a benchmark that one model has not, and answers that hold anything.
 */
export function syntheticResults(questions = 120): BenchmarkResult[] {
  const rate = (quality: number) => Math.round(1e5 / (1 + Math.exp(-1.5 * quality))) / 1e3;
  const alpaca = names.map((model): Measured => {
    const plain = measured(model, { stream: 1, questions, toValue: rate, answers: true, failEach: { sft: 40 } });
    const winRate = plain.figures.main!;
    return {
      ...plain,
      figures: {
        lc_win_rate: model === "target" ? null : { value: winRate.value - 3.25, standardError: 0.41 },
        win_rate: winRate,
        length: { value: plain.length! },
      },
      notes: model === "target" ? ["lengths could not be controlled: all its answers are alike"] : [],
    };
  });
  const rating = (quality: number) => Math.min(10, Math.max(1, Math.round(6 + 2 * quality)));
  const right = (quality: number) => (quality > 0 ? 100 : 0);
  const task = (stream: number, more: Partial<Plan>) =>
    names.map((model) => {
      const one = measured(model, { stream, questions, toValue: right, ...more });
      return {
        ...one,
        figures: { acc: one.figures.main!, acc_norm: { value: one.figures.main!.value, interval: [1, 99] as const } },
      };
    });
  const judge = "qwen2.5-coder-0.5b-instruct";
  const percent = (key: string, title: string) => ({ key, title, unit: "%" as const });
  return [
    {
      benchmark: "alpaca_eval",
      kind: "alpaca_eval",
      judge,
      official: false,
      columns: [
        percent("lc_win_rate", "LC win rate"),
        percent("win_rate", "Win rate"),
        { key: "length", title: "Length", unit: "characters" },
      ],
      models: alpaca,
    },
    {
      benchmark: "mt_bench",
      kind: "mt_bench",
      judge: "gpt-4-0613",
      official: true,
      columns: [{ key: "main", title: "Score", unit: "points" }],
      models: names.map((model) =>
        measured(model, { stream: 2, questions: 80, toValue: rating, categories: mtCategories, answers: true }),
      ),
    },
    {
      benchmark: "mmlu",
      kind: "task",
      judge: null,
      official: true,
      columns: [percent("acc", "acc"), percent("acc_norm", "acc_norm")],
      models: task(3, { categories: subjects }),
    },
    {
      benchmark: "gsm8k",
      kind: "task",
      judge: null,
      official: false,
      columns: [percent("acc", "exact match"), percent("acc_norm", "flexible")],
      models: task(4, { failEach: { fused: 60 } }),
    },
  ];
}
