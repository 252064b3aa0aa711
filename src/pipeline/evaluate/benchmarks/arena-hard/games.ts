import { type ArenaLabel, type ArenaVersion, type Games, readArenaVerdict } from "../../../../evaluation/index.ts";
import type { Message } from "../../../../schema/index.ts";
import type { Judgement, JudgeQuestion, Reading } from "../judged/judging.ts";
import type { Answered } from "./answering.ts";
import { type ArenaPrompts, arenaMessages } from "./prompts.ts";
import type { ArenaAnswer, ArenaQuestion } from "./questions.ts";

/** One order of two answers before the judge. */
export interface ArenaGame {
  readonly messages: readonly Message[];
  readonly judgement: Judgement<ArenaLabel>;
}

/** A model's answer to a question against the baseline's, in both orders. */
export interface Match {
  /** The number of the model. */
  readonly model: number;
  readonly question: ArenaQuestion;
  readonly answer: ArenaAnswer;
  readonly baseline: ArenaAnswer;
  readonly games: readonly [ArenaGame, ArenaGame];
}

export const labelsOf = ({ games: [first, second] }: Match): Games => [
  first.judgement.verdict,
  second.judgement.verdict,
];

/** What one judge says of every answer: the baseline is A in the first game of each, the model in the second. */
export async function playMatches(
  questions: readonly ArenaQuestion[],
  baselines: ReadonlyMap<string, ArenaAnswer>,
  models: readonly Answered[],
  prompts: ArenaPrompts,
  judge: (questions: readonly JudgeQuestion[]) => Promise<Judgement<ArenaLabel>[]>,
): Promise<Match[]> {
  const pairs = models.flatMap(({ name, answers }, model) =>
    questions.flatMap((question) => {
      const answer = answers.get(question.id);
      if (answer === undefined) return [];
      const baseline = baselines.get(question.id)!;
      const orders = [
        [baseline, answer],
        [answer, baseline],
      ] as const;
      const asked = orders.map(([a, b], game) => ({
        id: `${name}/${question.id}/${game + 1}`,
        messages: arenaMessages(prompts, question, [a.text, b.text]),
      }));
      return [{ model, question, answer, baseline, asked }];
    }),
  );
  const said = await judge(pairs.flatMap(({ asked }) => asked));
  return pairs.map(({ asked, ...rest }, at): Match => {
    const game = (k: 0 | 1): ArenaGame => ({ messages: asked[k]!.messages, judgement: said[2 * at + k]! });
    return { ...rest, games: [game(0), game(1)] };
  });
}

const faults = {
  none: "no verdict in its words",
  several: "several verdicts in its words",
  unknown: "a label that Arena-Hard doesn't have",
} as const;

/** Reads a verdict; several in v0.1, or an unknown label, are final, as they are in the official tool. */
export function arenaReading(version: ArenaVersion): (words: string) => Reading<ArenaLabel> {
  return (words) => {
    const read = readArenaVerdict(words, version);
    if ("label" in read) return { verdict: read.label };
    return { fault: faults[read.fault], final: read.fault !== "none" };
  };
}
