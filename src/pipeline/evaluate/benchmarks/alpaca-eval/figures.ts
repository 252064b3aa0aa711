import {
  type Column,
  type Figure,
  type FoldOrder,
  type Gamed,
  labels,
  type Measured,
  mean,
  winRate,
} from "../../../../evaluation/index.ts";
import { codePoints, type LeaderboardRow, leaderboardRow } from "../../../leaderboard/index.ts";
import type { JudgedOutput, Names } from "./files.ts";
import type { Question } from "./questions.ts";

const columns = {
  controlled: { key: "length_controlled_winrate", title: "LC win rate", unit: "%" },
  plain: { key: "win_rate", title: "Win rate", unit: "%" },
  discrete: { key: "discrete_win_rate", title: "Discrete win rate", unit: "%" },
  length: { key: "avg_length", title: "Length", unit: "characters" },
} as const satisfies Record<string, Column>;

/** The main one first: lengths are controlled where that can be. */
export function columnsOf(gamed: readonly Gamed[] | undefined): Column[] {
  const { controlled, plain, discrete, length } = columns;
  return gamed === undefined ? [plain, discrete, length] : [controlled, plain, discrete, length];
}

/**
 * The figures of one model, and its row of the leaderboard where a comparison has a verdict. Within the categories the main figure stands,
 * too: what the model would win at equal length, where lengths are controlled.
 */
export function measuredOf(
  { model, baseline, annotator }: Names,
  outputs: readonly JudgedOutput[],
  gamed: readonly Gamed[] | undefined,
  order: FoldOrder,
): Measured & { readonly row?: LeaderboardRow } {
  const preferences = outputs.map(({ verdict }) => ("failure" in verdict ? null : verdict.preference));
  const failures = outputs.flatMap(({ verdict }) => ("failure" in verdict ? [verdict.failure] : []));
  const firstFailure = failures.slice(0, 1).map((failure) => `the first comparison without a verdict: ${failure}`);
  const lengths = outputs.map(({ output }) => codePoints(output));
  const common = {
    model,
    items: outputs.flatMap(itemOf),
    failed: failures.length,
    ...(lengths.length === 0 ? {} : { length: mean(lengths) }),
  };
  if (failures.length === outputs.length)
    return {
      ...common,
      figures: Object.fromEntries(columnsOf(gamed).map(({ key }) => [key, null])),
      categories: {},
      notes: ["no comparison has a verdict", ...firstFailure],
    };
  const rows = outputs.map(({ question }, at) => ({
    preference: preferences[at]!,
    baselineLength: codePoints(question.baseline),
    modelLength: lengths[at]!,
  }));
  const { row, atEqualLength } = leaderboardRow({ model, baseline, judge: annotator, rows }, gamed, order);
  const { controlled, plain, discrete, length } = columns;
  const { length_controlled_winrate: rate, lc_standard_error: error } = row;
  return {
    ...common,
    row,
    figures: {
      ...(gamed === undefined ? {} : { [controlled.key]: rate === null ? null : figure(rate, error!) }),
      [plain.key]: figure(row.win_rate, row.standard_error),
      [discrete.key]: { value: row.discrete_win_rate },
      [length.key]: { value: row.avg_length },
    },
    categories: categoriesOf(
      outputs.map(({ question }) => question),
      atEqualLength?.map((share) => 1 + share) ?? preferences,
    ),
    notes: [...row.notes, ...firstFailure, ...hardlyMeant(outputs)],
  };
}

const figure = (value: number, standardError: number): Figure =>
  Number.isFinite(standardError) ? { value, standardError } : { value };

function itemOf({ question, output, verdict }: JudgedOutput): Measured["items"] {
  if ("failure" in verdict) return [];
  const { id, instruction, dataset } = question;
  return [
    {
      id,
      value: 100 * (verdict.preference - 1),
      ...(dataset === undefined ? {} : { category: dataset }),
      question: instruction,
      answer: output,
      ...(verdict.judgement === undefined ? {} : { words: verdict.judgement.said }),
    },
  ];
}

/** The win rate within each data set that the questions come from. */
function categoriesOf(
  questions: readonly Question[],
  preferences: readonly (number | null)[],
): Readonly<Record<string, Figure>> {
  const groups = new Map<string, number[]>();
  for (const [at, { dataset }] of questions.entries()) {
    const preference = preferences[at]!;
    if (dataset === undefined || preference === null) continue;
    groups.set(dataset, [...(groups.get(dataset) ?? []), preference]);
  }
  return Object.fromEntries(
    [...groups].map(([dataset, some]) => {
      const rates = winRate(some);
      return [dataset, figure(rates.winRate, rates.standardError)];
    }),
  );
}

/** Below this mean probability of the labels together, the judge was about to say something else. */
const usualMass = 0.5;

function hardlyMeant(outputs: readonly JudgedOutput[]): string[] {
  const masses = outputs.flatMap(({ verdict }) => {
    if ("failure" in verdict || verdict.judgement === undefined) return [];
    const named = verdict.judgement.tokens.filter(({ token }) => labels.some((label) => label === token));
    return [named.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)];
  });
  if (masses.length === 0 || mean(masses) >= usualMass) return [];
  const percent = Number((100 * mean(masses)).toPrecision(2));
  return [`the judge had ${percent} % of its probability on m and M in the mean: it hardly meant to name one`];
}
