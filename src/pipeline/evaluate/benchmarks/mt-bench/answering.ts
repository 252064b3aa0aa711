import { mtBenchTemperature } from "../../../../evaluation/index.ts";
import type { BenchmarkRecipeOf, Message } from "../../../../schema/index.ts";
import { type Asked, ask } from "../../asking.ts";
import type { Contestant, Evaluation } from "../../evaluation.ts";
import { samplingOf } from "../judged/sampling.ts";
import { type MtQuestion, mtAnswers, type TurnAnswers } from "./questions.ts";

/** A model's answers, as far as they could be had: of a question perhaps only that to the first turn. */
export interface MtAnswered {
  readonly name: string;
  readonly answers: ReadonlyMap<string, TurnAnswers>;
  /** Answers to turns. */
  readonly failed: number;
  readonly notes: readonly string[];
}

/** The most tokens of an answer, as in FastChat. */
const mostTokens = 1024;

/** Reads a model's answers from its file, or asks it turn by turn, at the temperature of the question's category. */
export async function mtAnswersOf(
  evaluation: Evaluation,
  recipe: BenchmarkRecipeOf<"mt_bench">,
  { name, answering, outputs }: Contestant,
  questions: readonly MtQuestion[],
): Promise<MtAnswered> {
  if (answering === undefined) {
    const file = outputs[recipe.name];
    if (file === undefined)
      return { name, answers: new Map(), failed: 0, notes: [`there is no file of its answers to ${recipe.name}`] };
    const { answers, notes } = await mtAnswers(file, questions);
    const missing = questions.reduce(
      (sum, { id, turns }) => sum + Math.max(0, turns.length - (answers.get(id)?.length ?? 0)),
      0,
    );
    const lacks = missing === 0 ? [] : [`${missing} answers to turns are not in its file`];
    return { name, answers, failed: missing, notes: [...lacks, ...notes] };
  }
  const answers = new Map<string, string[]>();
  let failed = 0;
  let cut = 0;
  let failure: string | undefined;
  for (const turn of [0, 1]) {
    const open = questions.filter(({ id, turns }) => turn < turns.length && (answers.get(id)?.length ?? 0) === turn);
    const asked = open.map(({ id, category, turns }): Asked => {
      const own = { temperature: mtBenchTemperature(category), max_tokens: mostTokens };
      const sampling = samplingOf(evaluation.seed, own, recipe.sampling);
      return { id: `${id}/${turn + 1}`, messages: conversation(turns, answers.get(id) ?? []), sampling };
    });
    const label = `${recipe.name}: answers of ${name}, turn ${turn + 1}`;
    const given = asked.length === 0 ? [] : await ask(evaluation, label, answering.source, asked);
    for (const [at, { id, turns }] of open.entries()) {
      const answer = given[at]!;
      if ("failure" in answer) {
        failure ??= answer.failure;
        failed += turns.length - turn;
      } else {
        if (answer.finish === "length") cut += 1;
        answers.set(id, [...(answers.get(id) ?? []), answer.text]);
      }
    }
  }
  const notes = [
    ...(failed === 0 ? [] : [`${failed} answers to turns could not be had: ${failure}`]),
    ...(cut === 0 ? [] : [`${cut} of its answers are cut off at ${recipe.sampling.max_tokens ?? mostTokens} tokens`]),
  ];
  return { name, answers, failed, notes };
}

/** What was asked and answered so far, with the next question. */
function conversation(turns: readonly string[], answers: readonly string[]): Message[] {
  return [
    ...answers.flatMap((answer, turn): Message[] => [
      { role: "user", content: turns[turn]! },
      { role: "assistant", content: answer },
    ]),
    { role: "user", content: turns[answers.length]! },
  ];
}
