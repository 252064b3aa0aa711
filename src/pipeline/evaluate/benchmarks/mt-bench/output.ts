import { join } from "node:path";
import { noRating, type PairVerdict } from "../../../../evaluation/index.ts";
import { contentKey } from "../../../../schema/index.ts";
import { fileName, writeRows } from "../judged/rows.ts";
import type { MtAnswered } from "./answering.ts";
import type { ComparedTurn, RatedTurn } from "./judged.ts";
import type { MtQuestion } from "./questions.ts";

/** What FastChat writes where a judge could not be asked. */
const noWords = "$ERROR$";

/** Writes a file of answers for each model, as FastChat's. */
export function writeMtAnswers(folder: string, questions: readonly MtQuestion[], models: readonly MtAnswered[]): void {
  for (const { name, answers } of models) {
    if (answers.size === 0) continue;
    writeRows(
      join(folder, "model_answer", `${fileName(name)}.jsonl`),
      questions.flatMap(({ id, written }) => {
        const turns = answers.get(id);
        if (turns === undefined) return [];
        const answerId = contentKey([id, name, turns]).slice(0, 22);
        return [{ question_id: written, answer_id: answerId, model_id: name, choices: [{ index: 0, turns }] }];
      }),
    );
  }
}

/** FastChat's file of ratings: -1 where there is none. */
export function writeRatings(
  folder: string,
  judge: string,
  names: readonly string[],
  turns: readonly RatedTurn[],
): void {
  writeRows(
    join(folder, "model_judgment", `${fileName(judge)}_single.jsonl`),
    turns.map(({ model, question, turn, prompt, messages, judgement }) => ({
      question_id: question.written,
      model: names[model],
      judge: [judge, prompt],
      user_prompt: messages.at(-1)!.content,
      judgment: judgement.words || noWords,
      score: judgement.verdict ?? noRating,
      turn: turn + 1,
    })),
  );
}

const winnerOf = (verdict: PairVerdict | null, [a, b]: readonly [string, string]): string =>
  verdict === null ? "error" : { A: a, B: b, C: "tie" }[verdict];

/** FastChat's file of comparisons. */
export function writePairs(
  folder: string,
  judge: string,
  names: readonly string[],
  baseline: string,
  turns: readonly ComparedTurn[],
): void {
  writeRows(
    join(folder, "model_judgment", `${fileName(judge)}_pair.jsonl`),
    turns.map(({ model, question, turn, prompt, games: [first, second] }) => ({
      question_id: question.written,
      model_1: names[model],
      model_2: baseline,
      g1_winner: winnerOf(first.judgement.verdict, ["model_1", "model_2"]),
      g2_winner: winnerOf(second.judgement.verdict, ["model_2", "model_1"]),
      judge: [judge, prompt],
      g1_user_prompt: first.messages.at(-1)!.content,
      g1_judgment: first.judgement.words || noWords,
      g2_user_prompt: second.messages.at(-1)!.content,
      g2_judgment: second.judgement.words || noWords,
      turn: turn + 1,
    })),
  );
}
