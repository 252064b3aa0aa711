import { join } from "node:path";
import type { BenchmarkResult, Measured } from "../../../../evaluation/index.ts";
import { type BenchmarkRecipeOf, RecipeError } from "../../../../schema/index.ts";
import type { Measure } from "../../evaluation.ts";
import { ofEach } from "../../of-each.ts";
import { type JudgeForm, judgeForm, judgementNotes, judgements } from "../judged/judging.ts";
import { notOfficial } from "../judged/official.ts";
import { arenaAnswersOf, stylesOf } from "./answering.ts";
import { arenaFigures } from "./figures.ts";
import { arenaReading, type Match, playMatches } from "./games.ts";
import { otherThanOfficial } from "./official.ts";
import { writeArena } from "./output.ts";
import { arenaJudgeTokens, arenaPrompts, arenaVerdicts } from "./prompts.ts";
import { arenaQuestions, baselineAnswers } from "./questions.ts";

type Recipe = BenchmarkRecipeOf<"arena_hard">;

/**
 * Arena-Hard: each answer against the baseline's, in both orders, by a judge. Answers and judgements are written into the evaluation's folder in the
 * official forms.
 *
 * @throws DataError for files that break their format; RecipeError where there is no judge, or one that can't be held to a form.
 */
export const arenaHard: Measure<Recipe> = async (evaluation, recipe, contestants, judge) => {
  if (judge === undefined) throw new RecipeError(`${recipe.name} needs a judge`, { field: "judge" });
  const { version } = recipe;
  const questions = await arenaQuestions(recipe.questions, recipe.limit);
  const baselines = await baselineAnswers(questions, recipe, version);
  const prompts = arenaPrompts(recipe.prompt);
  const form = judgeForm(evaluation, judge, recipe, arenaVerdicts, arenaJudgeTokens[version]);
  const conditions = { judge, constrained: form.constrained, questions, baselines, prompts };
  const models = await ofEach(evaluation, contestants, (each, contestant) =>
    arenaAnswersOf(each, recipe, contestant, questions),
  );
  const matches = await playMatches(questions, baselines, models, prompts, (asked) =>
    judgements(evaluation, asked, {
      label: `${recipe.name}: judged by ${judge.name}`,
      judge,
      sampling: form.sampling,
      attempts: recipe.attempts,
      again: otherThanOfficial(version, { ...conditions, judgements: [] }).length > 0,
      read: arenaReading(version),
    }),
  );
  const styleOf = await stylesOf(
    [...baselines.values(), ...models.flatMap(({ answers }) => [...answers.values()])],
    version,
  );
  const figures = arenaFigures(matches, models.length, styleOf, version, recipe.bootstrap);
  const reasons = otherThanOfficial(version, {
    ...conditions,
    judgements: matches.flatMap(({ games }) => games.map(({ judgement }) => judgement)),
  });
  const shared = [...notOfficial(reasons), ...formNotes(form), ...figureNotes(recipe, models.length)];
  writeArena(join(evaluation.folder, recipe.name), {
    version,
    judge: judge.name,
    questions,
    baselines,
    models,
    matches,
    styleOf,
  });
  return {
    benchmark: recipe.name,
    kind: recipe.kind,
    judge: judge.name,
    official: reasons.length === 0,
    columns: figures.columns,
    models: models.map((answered, model): Measured => {
      const own = matches.filter((match) => match.model === model);
      const said = own.flatMap(({ games }) => games.map(({ judgement }) => judgement));
      return {
        model: answered.name,
        figures: figures.figures(model),
        items: figures.items(model),
        categories: figures.categories(model),
        ...lengthOf(own),
        failed: answered.failed + said.filter(({ verdict }) => verdict === null).length,
        notes: [...answered.notes, ...judgementNotes(said, "game", "games"), ...shared],
      };
    }),
  } satisfies BenchmarkResult;
};

function lengthOf(matches: readonly Match[]): { length?: number } {
  if (matches.length === 0) return {};
  const characters = matches.reduce((sum, { answer }) => sum + [...answer.text].length, 0);
  return { length: characters / matches.length };
}

const formNotes = ({ constrained }: JudgeForm): string[] =>
  constrained ? ["the judge was held to a short explanation with a verdict behind it"] : [];

const figureNotes = ({ version, bootstrap }: Recipe, models: number): string[] => [
  `intervals from ${bootstrap} resamples of the model's battles ${
    version === "v0.1"
      ? "by the official draws"
      : "at 2.5 and 97.5 % (the official tool prints 5 and 95 % of draws without a seed)"
  }`,
  ...(models > 1 ? ["style is controlled for over the battles of all models of this evaluation"] : []),
];
