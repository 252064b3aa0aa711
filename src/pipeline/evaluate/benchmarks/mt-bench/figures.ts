import {
  type Column,
  type Figure,
  groupedInterval,
  type Item,
  mean,
  mtBenchCategories,
  type PairOutcome,
  pairOutcome,
  pairRates,
  type Resampling,
} from "../../../../evaluation/index.ts";
import type { ComparedTurn, RatedTurn } from "./judged.ts";

export const singleColumns: readonly Column[] = [
  { key: "score", title: "Score", unit: "points" },
  { key: "turn_1", title: "First turn", unit: "points" },
  { key: "turn_2", title: "Second turn", unit: "points" },
];

export const pairwiseColumns: readonly Column[] = [
  { key: "win_rate_adjusted", title: "Win rate, ties as half", unit: "%" },
  { key: "win_rate", title: "Wins", unit: "%" },
  { key: "loss_rate", title: "Losses", unit: "%" },
];

export interface MtFigures {
  readonly figures: Record<string, Figure | null>;
  readonly categories: Record<string, Figure>;
  readonly items: Item[];
}

/** A value of each turn that has one, with what it is of. */
interface Valued {
  readonly turn: RatedTurn | ComparedTurn;
  readonly value: number;
  readonly words: string;
}

/** One model's scores: the mean of all ratings, of each turn's, of each category's. */
export function singleFigures(turns: readonly RatedTurn[], resampling: Resampling): MtFigures {
  const valued = turns.flatMap((turn): Valued[] => {
    const { verdict, words } = turn.judgement;
    return verdict === null ? [] : [{ turn, value: verdict, words }];
  });
  const inTurn = (at: number) =>
    figureOf(
      valued.filter(({ turn }) => turn.turn === at),
      resampling,
    );
  return {
    figures: { score: figureOf(valued, resampling), turn_1: inTurn(0), turn_2: inTurn(1) },
    categories: byCategory(valued, resampling),
    items: itemsOf(valued),
  };
}

/** One model's win rate over the baseline; a turn without two verdicts counts nowhere. */
export function pairwiseFigures(turns: readonly ComparedTurn[], resampling: Resampling): MtFigures {
  const valued = turns.flatMap((turn): Valued[] => {
    const outcome = outcomeOf(turn);
    const words = turn.games
      .map(
        ({ judgement }, at) => `Game ${at + 1}, ${at === 0 ? "the model" : "the baseline"} is A:\n${judgement.words}`,
      )
      .join("\n\n");
    return outcome === null ? [] : [{ turn, value: 100 * outcome, words }];
  });
  const rates = pairRates(turns.map(outcomeOf).filter((outcome): outcome is PairOutcome => outcome !== null));
  const percent = (share: number | undefined) => (share === undefined ? null : { value: 100 * share });
  return {
    figures: {
      win_rate_adjusted: figureOf(valued, resampling),
      win_rate: percent(rates?.won),
      loss_rate: percent(rates?.lost),
    },
    categories: byCategory(valued, resampling),
    items: itemsOf(valued),
  };
}

const outcomeOf = ({ games: [first, second] }: ComparedTurn) =>
  pairOutcome(first.judgement.verdict, second.judgement.verdict);

function grouped<Key>(valued: readonly Valued[], keyOf: (value: Valued) => Key): Map<Key, Valued[]> {
  const groups = new Map<Key, Valued[]>();
  for (const each of valued) groups.set(keyOf(each), [...(groups.get(keyOf(each)) ?? []), each]);
  return groups;
}

const byQuestion = (valued: readonly Valued[]) => grouped(valued, ({ turn }) => turn.question.id);

function figureOf(valued: readonly Valued[], resampling: Resampling): Figure | null {
  const values = (list: readonly Valued[]) => list.map(({ value }) => value);
  const interval = groupedInterval([...byQuestion(valued).values()].map(values), resampling);
  return interval === undefined ? null : { value: mean(values(valued)), interval: [interval.low, interval.high] };
}

/** In the order of MT-Bench's radar chart, others behind. */
function byCategory(valued: readonly Valued[], resampling: Resampling): Record<string, Figure> {
  const groups = grouped(valued, ({ turn }) => turn.question.category);
  const known = mtBenchCategories.filter((category) => groups.has(category));
  const order = [...new Set<string>([...known, ...groups.keys()])];
  return Object.fromEntries(order.map((category) => [category, figureOf(groups.get(category)!, resampling)!]));
}

const itemsOf = (valued: readonly Valued[]): Item[] =>
  [...byQuestion(valued).values()].map((turns): Item => {
    const { question, answers } = turns[0]!.turn;
    const joined = (texts: readonly string[]) => texts.map((text, at) => `Turn ${at + 1}: ${text}`).join("\n\n");
    return {
      id: question.id,
      value: mean(turns.map(({ value }) => value)),
      category: question.category,
      question: joined(question.turns),
      answer: joined(answers),
      words: turns.map(({ turn, words }) => `Turn ${turn.turn + 1}: ${words}`).join("\n\n"),
    };
  });
