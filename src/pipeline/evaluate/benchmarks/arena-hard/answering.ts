import { type ArenaVersion, markdownStyle, type Style, tokenCounter } from "../../../../evaluation/index.ts";
import type { BenchmarkRecipeOf } from "../../../../schema/index.ts";
import { ask } from "../../asking.ts";
import type { Contestant, Evaluation } from "../../evaluation.ts";
import { samplingOf } from "../judged/sampling.ts";
import { type ArenaAnswer, type ArenaQuestion, arenaAnswers } from "./questions.ts";

/** A model's answers to the questions, as far as they could be had. */
export interface Answered {
  readonly name: string;
  readonly answers: ReadonlyMap<string, ArenaAnswer>;
  readonly failed: number;
  readonly notes: readonly string[];
}

/** The most tokens of an answer, as in the official settings. */
const mostTokens: Readonly<Record<ArenaVersion, number>> = { "v0.1": 4096, "v2.0": 16_000 };

/** Reads a model's answers from its file, or asks it. */
export async function arenaAnswersOf(
  evaluation: Evaluation,
  recipe: BenchmarkRecipeOf<"arena_hard">,
  { name, answering, outputs }: Contestant,
  questions: readonly ArenaQuestion[],
): Promise<Answered> {
  if (answering === undefined) {
    const file = outputs[recipe.name];
    if (file === undefined)
      return { name, answers: new Map(), failed: 0, notes: [`there is no file of its answers to ${recipe.name}`] };
    const { answers, notes } = await arenaAnswers(file, questions);
    return { name, answers, ...missing(questions.length - answers.size, "are not in its file", notes) };
  }
  const sampling = samplingOf(
    evaluation.seed,
    { temperature: 0, max_tokens: mostTokens[recipe.version] },
    recipe.sampling,
  );
  const asked = questions.map(({ id, prompt }) => ({
    id,
    messages: [{ role: "user" as const, content: prompt }],
    sampling,
  }));
  const given = await ask(evaluation, `${recipe.name}: answers of ${name}`, answering.source, asked);
  const answers = new Map(
    questions.flatMap(({ id }, at): [string, ArenaAnswer][] => {
      const answer = given[at]!;
      return "failure" in answer ? [] : [[id, { id, model: name, text: answer.text }]];
    }),
  );
  const failure = given.find((answer) => "failure" in answer);
  const why = failure === undefined ? "" : `could not be had: ${failure.failure}`;
  const cut = given.filter((answer) => "finish" in answer && answer.finish === "length").length;
  const notes = cut === 0 ? [] : [`${cut} of its answers are cut off at ${sampling.max_tokens} tokens`];
  return { name, answers, ...missing(questions.length - answers.size, why, notes) };
}

const missing = (failed: number, why: string, notes: readonly string[] = []) => ({
  failed,
  notes: [...(failed === 0 ? [] : [`${failed} answers ${why}`]), ...notes],
});

/** The style of an answer: tokens, headers, list items, bold words. */
export type StyleOf = (answer: ArenaAnswer) => Style;

/** As the answers' files tell it; what they don't tell is counted as the official tool counts it. */
export async function stylesOf(all: readonly ArenaAnswer[], version: ArenaVersion): Promise<StyleOf> {
  const counted = new Map<string, Style>();
  const untold = all.filter(({ style }) => style === undefined);
  if (untold.length > 0) {
    const tokens = await tokenCounter(version);
    for (const { text } of untold) counted.set(text, [tokens(text), ...markdownStyle(text)]);
  }
  return ({ style, text }) => style ?? counted.get(text)!;
}
