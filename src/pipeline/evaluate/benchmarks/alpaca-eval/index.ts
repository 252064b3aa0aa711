import { join } from "node:path";
import type { Gamed, Measured } from "../../../../evaluation/index.ts";
import { type BenchmarkRecipeOf, RecipeError, samplingSchema } from "../../../../schema/index.ts";
import { byRank, type LeaderboardRow, officialNames, readGamed } from "../../../leaderboard/index.ts";
import { ask } from "../../asking.ts";
import type { Contestant, Evaluation, Measure } from "../../evaluation.ts";
import { ofEach } from "../../of-each.ts";
import { columnsOf, measuredOf } from "./figures.ts";
import { type JudgedOutput, writeLeaderboard, writeModelFiles } from "./files.ts";
import { judged } from "./judging.ts";
import { areOfficialQuestions, isOfficial } from "./official.ts";
import { readJudgePrompt } from "./prompt.ts";
import { outputsOf, type QuestionSet, readQuestionSet } from "./questions.ts";

type AlpacaEvalRecipe = BenchmarkRecipeOf<"alpaca_eval">;

/** What most models of AlpacaEval's leaderboard were sampled with. */
const usualSampling = { temperature: 0.7, top_p: 1, top_k: 0, max_tokens: 2048, stop: [] };

/**
 * AlpacaEval 2 (Dubois et al. 2024): each model's outputs against a baseline's, by a judge that sees the two in an order drawn from the
 * instruction. Win rates, and with `df_gamed.csv` length-controlled ones, are those of alpaca-eval 0.6.6; so are the files that are written
 * into a folder of the benchmark's name.
 *
 * @throws DataError, RecipeError for files that can't be used; SourceError for a judge without log-probs; Interrupted on an abort
 */
export const alpacaEval: Measure<AlpacaEvalRecipe> = async (evaluation, recipe, contestants, judge) => {
  if (judge === undefined)
    throw new RecipeError("AlpacaEval needs a judge", {
      field: "judge",
      hint: "Name one in the suite: judge: {model: ...}",
    });
  const set = await readQuestionSet(recipe);
  const gamed = recipe.gamed === undefined ? undefined : await readGamed(recipe.gamed);
  const prompt = readJudgePrompt(recipe.prompt);
  const official = isOfficial(recipe, set, prompt, judge);
  // Figures go by the annotator's name where files travel, so that no other judge may have the official one's.
  const annotator = official
    ? officialNames.judge
    : judge.name === officialNames.judge
      ? `${judge.name}_own`
      : judge.name;

  const answered = await ofEach(evaluation, contestants, (each, contestant) =>
    answersOf(each, recipe, contestant, set),
  );
  const pairs = answered.flatMap(({ outputs }, at) =>
    outputs.flatMap((output, place) => (output === undefined ? [] : [{ at, question: set.questions[place]!, output }])),
  );
  const verdicts = await judged(
    evaluation,
    recipe,
    judge,
    prompt,
    pairs.map(({ question: { instruction, baseline }, output }) => ({ instruction, baseline, model: output })),
  );

  const folder = join(evaluation.folder, recipe.name);
  const rows: LeaderboardRow[] = [];
  const models = answered.map(({ model, outputs: all, notes }, at): Measured => {
    const outputs = pairs.flatMap((pair, place): JudgedOutput[] =>
      pair.at === at ? [{ question: pair.question, output: pair.output, verdict: verdicts[place]! }] : [],
    );
    const names = { model, baseline: set.baseline, annotator };
    writeModelFiles(join(folder, model), names, outputs);
    const { row, ...measured } = measuredOf(names, outputs, gamed, recipe.fold_order);
    if (row !== undefined) rows.push(row);
    return {
      ...measured,
      failed: measured.failed + all.length - outputs.length,
      notes: [...set.notes, ...notes, ...measured.notes, ...otherQuestions(set, gamed)],
    };
  });
  writeLeaderboard(folder, byRank(rows));
  return {
    benchmark: recipe.name,
    kind: recipe.kind,
    judge: judge.name,
    official,
    columns: columnsOf(gamed),
    models,
  };
};

interface Answered {
  readonly model: string;
  /** In the order of the questions; none where the model takes no part. */
  readonly outputs: readonly (string | undefined)[];
  readonly notes: readonly string[];
}

async function answersOf(
  evaluation: Evaluation,
  recipe: AlpacaEvalRecipe,
  { name, answering, outputs }: Contestant,
  set: QuestionSet,
): Promise<Answered> {
  if (answering === undefined) {
    const file = outputs[recipe.name];
    if (file === undefined)
      return { model: name, outputs: [], notes: [`there is no file of its answers to ${recipe.name}`] };
    return { model: name, ...(await outputsOf(file, set)) };
  }
  const sampling = samplingSchema.parse({ ...usualSampling, ...recipe.sampling, seed: evaluation.seed });
  const asked = set.questions.map(({ id, instruction }) => ({
    id,
    messages: [{ role: "user" as const, content: instruction }],
    sampling,
  }));
  const answers = await ask(evaluation, `${recipe.name}: ${name}`, answering.source, asked);
  const cut = answers.filter((answer) => "finish" in answer && answer.finish === "length").length;
  const failures = answers.flatMap((answer) => ("failure" in answer ? [answer.failure] : []));
  return {
    model: name,
    // As alpaca-eval strips what it has generated.
    outputs: answers.map((answer) => ("failure" in answer ? undefined : answer.text.trim())),
    notes: [
      ...failureNote(failures, "questions have no answer"),
      ...(cut > 0 ? [`${cut} answers were cut at ${sampling.max_tokens} tokens`] : []),
    ],
  };
}

function failureNote([first, ...others]: readonly string[], what: string): string[] {
  return first === undefined ? [] : [`${others.length + 1} ${what}, and count nowhere: ${first}`];
}

const otherQuestions = (set: QuestionSet, gamed: readonly Gamed[] | undefined): string[] =>
  gamed === undefined || areOfficialQuestions(set)
    ? []
    : ["the questions are not AlpacaEval's 805 in their order, to which the difficulties of the length control belong"];
