import { needsReference, type PairVerdict, readPairVerdict, readRating } from "../../../../evaluation/index.ts";
import type { Message } from "../../../../schema/index.ts";
import type { Judgement, JudgeQuestion, Reading } from "../judged/judging.ts";
import type { MtAnswered } from "./answering.ts";
import { type MtPrompts, mtMessages, type PromptName, promptName } from "./prompts.ts";
import type { MtQuestion, TurnAnswers } from "./questions.ts";

/** What the judge was asked of a turn, and what it said. */
export interface Asked<Verdict> {
  readonly messages: readonly Message[];
  readonly judgement: Judgement<Verdict>;
}

interface TurnOf {
  /** The number of the model. */
  readonly model: number;
  readonly question: MtQuestion;
  readonly turn: number;
  readonly prompt: PromptName;
  readonly answers: TurnAnswers;
}

export interface RatedTurn extends TurnOf, Asked<number> {}

/** A turn compared with the baseline's, which is B in the first game and A in the second. */
export interface ComparedTurn extends TurnOf {
  readonly games: readonly [Asked<PairVerdict>, Asked<PairVerdict>];
}

export type AskJudge<Verdict> = (questions: readonly JudgeQuestion[]) => Promise<Judgement<Verdict>[]>;

/** The turns that a model has answers to. */
const turnsOf = (
  mode: "single" | "pairwise",
  questions: readonly MtQuestion[],
  models: readonly MtAnswered[],
): TurnOf[] =>
  models.flatMap(({ answers }, model) =>
    questions.flatMap((question) => {
      const given = answers.get(question.id) ?? [];
      return question.turns.slice(0, given.length).map((_, turn): TurnOf => {
        const prompt = promptName(mode, needsReference(question.category), turn);
        return { model, question, turn, prompt, answers: given };
      });
    }),
  );

const idOf = ({ name }: MtAnswered, { question, turn }: TurnOf): string => `${name}/${question.id}/${turn + 1}`;

/** Every answer rated by itself. */
export async function rateTurns(
  questions: readonly MtQuestion[],
  models: readonly MtAnswered[],
  prompts: MtPrompts,
  judge: AskJudge<number>,
): Promise<RatedTurn[]> {
  const turns = turnsOf("single", questions, models).map((each) => ({
    ...each,
    id: idOf(models[each.model]!, each),
    messages: mtMessages(prompts.get(each.prompt)!, each.question, [each.answers], each.turn),
  }));
  const said = await judge(turns);
  return turns.map((each, at) => ({ ...each, judgement: said[at]! }));
}

/** Every answer compared with the baseline's to the same turn, in both orders; without one of the baseline, it is not compared. */
export async function compareTurns(
  questions: readonly MtQuestion[],
  models: readonly MtAnswered[],
  baseline: MtAnswered,
  prompts: MtPrompts,
  judge: AskJudge<PairVerdict>,
): Promise<ComparedTurn[]> {
  const turns = turnsOf("pairwise", questions, models).flatMap((each) => {
    const others = baseline.answers.get(each.question.id) ?? [];
    if (each.turn >= others.length) return [];
    const orders = [
      [each.answers, others],
      [others, each.answers],
    ] as const;
    const asked = orders.map((shown, game) => ({
      id: `${idOf(models[each.model]!, each)}/${game + 1}`,
      messages: mtMessages(prompts.get(each.prompt)!, each.question, shown, each.turn),
    }));
    return [{ ...each, asked }];
  });
  const said = await judge(turns.flatMap(({ asked }) => asked));
  return turns.map(({ asked, ...each }, at): ComparedTurn => {
    const game = (k: 0 | 1) => ({ messages: asked[k]!.messages, judgement: said[2 * at + k]! });
    return { ...each, games: [game(0), game(1)] };
  });
}

export function ratingOf(words: string): Reading<number> {
  const rating = readRating(words);
  return rating === null ? { fault: "no rating in its words" } : { verdict: rating };
}

export function pairVerdictOf(words: string): Reading<PairVerdict> {
  const verdict = readPairVerdict(words);
  return verdict === null ? { fault: "no verdict in its words" } : { verdict };
}

/** How many different verdicts stand in a judge's words, in double brackets. */
export const verdictsIn = (words: string, mode: "single" | "pairwise"): number =>
  new Set(words.match(mode === "single" ? /\[\[\d+\.?\d*\]\]/g : /\[\[[ABC]\]\]/g)).size;
