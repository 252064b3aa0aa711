import { join } from "node:path";
import type { BenchmarkResult, Measured } from "../../../../evaluation/index.ts";
import { type BenchmarkRecipeOf, didYouMean, RecipeError } from "../../../../schema/index.ts";
import type { Contestant, Measure } from "../../evaluation.ts";
import { ofEach } from "../../of-each.ts";
import { type Judgement, judgeForm, judgementNotes, judgements, type Reading } from "../judged/judging.ts";
import { notOfficial } from "../judged/official.ts";
import { type MtAnswered, mtAnswersOf } from "./answering.ts";
import { type MtFigures, pairwiseColumns, pairwiseFigures, singleColumns, singleFigures } from "./figures.ts";
import { type AskJudge, compareTurns, pairVerdictOf, rateTurns, ratingOf, verdictsIn } from "./judged.ts";
import { otherThanOfficial } from "./official.ts";
import { writeMtAnswers, writePairs, writeRatings } from "./output.ts";
import { mtJudgeTokens, mtPrompts, mtVerdicts } from "./prompts.ts";
import { mtQuestions } from "./questions.ts";

type Recipe = BenchmarkRecipeOf<"mt_bench">;

/** A model with what the judge said of its turns. */
interface JudgedModel extends MtFigures {
  readonly answered: MtAnswered;
  readonly said: readonly Judgement<unknown>[];
}

/**
 * MT-Bench: two turns each, rated by a judge or compared with a baseline model's. Answers and judgements are written into the evaluation's folder in
 * FastChat's forms.
 *
 * @throws DataError for files that break their format; RecipeError where there is no judge, one that can't be held to a form, or no
 * baseline.
 */
export const mtBench: Measure<Recipe> = async (evaluation, recipe, contestants, judge) => {
  if (judge === undefined) throw new RecipeError(`${recipe.name} needs a judge`, { field: "judge" });
  const { mode } = recipe;
  const judgeName = judge.name;
  const baselineAt = mode === "pairwise" ? baselineOf(recipe, contestants) : undefined;
  const questions = await mtQuestions(recipe.questions, recipe.references, recipe.limit);
  const prompts = await mtPrompts(mode, recipe.prompt);
  const form = judgeForm(evaluation, judge, recipe, mtVerdicts[mode], mtJudgeTokens);
  const conditions = { mode, baseline: recipe.baseline, judge, constrained: form.constrained, questions, prompts };
  const again = otherThanOfficial({ ...conditions, judgements: [] }).length > 0;
  const answered = await ofEach(evaluation, contestants, (each, contestant) =>
    mtAnswersOf(each, recipe, contestant, questions),
  );
  const folder = join(evaluation.folder, recipe.name);
  writeMtAnswers(folder, questions, answered);
  const resampling = { resamples: evaluation.bootstrap, seed: evaluation.seed };
  const asking = <Verdict>(read: (words: string) => Reading<Verdict>): AskJudge<Verdict> => {
    const label = `${recipe.name}: judged by ${judge.name}`;
    const { attempts } = recipe;
    return (asked) => judgements(evaluation, asked, { label, judge, sampling: form.sampling, attempts, again, read });
  };
  const models = baselineAt === undefined ? await single() : await pairwise(baselineAt);
  const reasons = otherThanOfficial({ ...conditions, judgements: models.flatMap(({ said }) => said) });
  const shared = [
    ...notOfficial(reasons),
    ...(form.constrained ? ["the judge was held to a short explanation with a verdict behind it"] : []),
    ...(baselineAt === undefined ? [] : [`compared with ${answered[baselineAt]!.name}, turn by turn`]),
  ];
  const result: BenchmarkResult = {
    benchmark: recipe.name,
    kind: recipe.kind,
    judge: judge.name,
    official: reasons.length === 0,
    columns: mode === "single" ? singleColumns : pairwiseColumns,
    models: models.map((model) => measuredOf(model, mode, shared)),
  };
  return result;

  async function single(): Promise<JudgedModel[]> {
    const turns = await rateTurns(questions, answered, prompts, asking(ratingOf));
    writeRatings(
      folder,
      judgeName,
      answered.map(({ name }) => name),
      turns,
    );
    return answered.map((one, model) => {
      const own = turns.filter((turn) => turn.model === model);
      return { answered: one, said: own.map(({ judgement }) => judgement), ...singleFigures(own, resampling) };
    });
  }

  async function pairwise(at: number): Promise<JudgedModel[]> {
    const baseline = answered[at]!;
    const others = answered.filter((_, model) => model !== at);
    const turns = await compareTurns(questions, others, baseline, prompts, asking(pairVerdictOf));
    writePairs(
      folder,
      judgeName,
      others.map(({ name }) => name),
      baseline.name,
      turns,
    );
    const compared = others.map((one, model): JudgedModel => {
      const own = turns.filter((turn) => turn.model === model);
      const said = own.flatMap(({ games }) => games.map(({ judgement }) => judgement));
      return { answered: one, said, ...pairwiseFigures(own, resampling) };
    });
    return compared.toSpliced(at, 0, ofBaseline(baseline));
  }
};

/** Which of the models the others are compared with. */
function baselineOf({ baseline }: Recipe, contestants: readonly Contestant[]): number {
  const names = contestants.map(({ name }) => name);
  const at = baseline === undefined ? -1 : names.indexOf(baseline);
  if (at >= 0) return at;
  const near = baseline === undefined ? "" : didYouMean(baseline, names);
  throw new RecipeError(
    baseline === undefined
      ? "`mode: pairwise` needs a baseline"
      : `the baseline ${baseline} is none of the models that are evaluated`,
    { field: "baseline", hint: `${near}It is one of ${names.join(", ")}.` },
  );
}

/** It has no figures, and failures of its own: a turn that it has no answer to is compared with nothing. */
const ofBaseline = (baseline: MtAnswered): JudgedModel => ({
  answered: { ...baseline, notes: ["the others are compared with its answers", ...baseline.notes] },
  said: [],
  ...pairwiseFigures([], { resamples: 1, seed: 0 }),
});

function measuredOf(
  { answered, said, figures, categories, items }: JudgedModel,
  mode: Recipe["mode"],
  shared: readonly string[],
): Measured {
  const texts = [...answered.answers.values()].flat();
  const characters = texts.reduce((sum, text) => sum + [...text].length, 0);
  const [one, many] = mode === "single" ? (["rating", "ratings"] as const) : (["game", "games"] as const);
  return {
    model: answered.name,
    figures,
    items,
    categories,
    ...(texts.length === 0 ? {} : { length: characters / texts.length }),
    failed: answered.failed + said.filter(({ verdict }) => verdict === null).length,
    notes: [
      ...answered.notes,
      ...judgementNotes(said, one, many),
      ...outOfScale(said),
      ...severalNamed(said, mode),
      ...shared,
    ],
  };
}

/** FastChat counts whatever number stands in brackets. */
function outOfScale(said: readonly Judgement<unknown>[]): string[] {
  const outside = said.filter(({ verdict }) => typeof verdict === "number" && (verdict < 1 || verdict > 10)).length;
  return outside === 0 ? [] : [`${outside} ratings lie outside 1 to 10 and are counted as they are, as FastChat does`];
}

/** FastChat takes one of several without a word. */
function severalNamed(said: readonly Judgement<unknown>[], mode: Recipe["mode"]): string[] {
  const several = said.filter(({ verdict, words }) => verdict !== null && verdictsIn(words, mode) > 1).length;
  const counts = mode === "single" ? "the first one counts" : "A counts before B, and B before C";
  return several === 0 ? [] : [`${several} judgements name several verdicts, of which ${counts}, as in FastChat`];
}
