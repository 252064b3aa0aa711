import {
  type ArenaVersion,
  arenaInterval,
  arenaWinRate,
  type Battle,
  battlesOf,
  type Column,
  type Figure,
  type Item,
  mean,
  resampledStyleControl,
  resampledWinRates,
  type StyledBattle,
  styleControlled,
  styleControlledV2,
} from "../../../../evaluation/index.ts";
import type { StyleOf } from "./answering.ts";
import { labelsOf, type Match } from "./games.ts";

/** The categories that v2.0 has a leaderboard of each for. */
const leaderboards: Readonly<Record<string, string>> = {
  hard_prompt: "Hard prompts",
  creative_writing: "Creative writing",
};

export interface ArenaFigures {
  readonly columns: readonly Column[];
  /** Of the model of this number, by the columns' keys. */
  figures(model: number): Record<string, Figure | null>;
  categories(model: number): Record<string, Figure>;
  items(model: number): Item[];
}

const percent = (value: number, interval?: readonly [number, number]): Figure => ({
  value: 100 * value,
  ...(interval === undefined ? {} : { interval: [100 * interval[0], 100 * interval[1]] }),
});

/** Win rates of all models over their battles; style is controlled for over the battles of all of them together. */
export function arenaFigures(
  matches: readonly Match[],
  models: number,
  styleOf: StyleOf,
  version: ArenaVersion,
  rounds: number,
): ArenaFigures {
  const categories = [...new Set(matches.map(({ question }) => question.category))];
  const own = version === "v2.0" ? categories.filter((category) => category in leaderboards) : [];
  const styled = (list: readonly Match[]): StyledBattle[] =>
    list.flatMap((match) => {
      const outcomes = battlesOf(labelsOf(match), version);
      if (outcomes.length === 0) return [];
      const [baselineStyle, modelStyle] = [styleOf(match.baseline), styleOf(match.answer)];
      return outcomes.map((outcome) => ({ model: match.model, outcome, baselineStyle, modelStyle }));
    });
  const within = (category: string) => matches.filter(({ question }) => question.category === category);
  const rate = (list: readonly Match[], model: number): Figure | null => {
    const battles: Battle[] = list
      .filter((match) => match.model === model)
      .flatMap((match) => battlesOf(labelsOf(match), version).map((outcome) => ({ model: 0, outcome })));
    const value = arenaWinRate(battles.map(({ outcome }) => outcome));
    if (value === null) return null;
    return percent(value, arenaInterval(resampledWinRates(battles, 1, rounds)[0]!));
  };
  const controlled = controls(own.length > 0 ? own : [undefined], (category) =>
    category === undefined ? styled(matches) : styled(within(category)),
  );
  return {
    columns: [
      { key: "win_rate", title: "Win rate", unit: "%" },
      ...own.map((category): Column => ({ key: category, title: leaderboards[category]!, unit: "%" })),
      ...[...controlled.keys()].map(
        (category): Column => ({
          key: styleKey(category),
          title: category === undefined ? "Style controlled" : `${leaderboards[category]}, style controlled`,
          unit: "%",
        }),
      ),
    ],
    figures: (model) => ({
      win_rate: rate(matches, model),
      ...Object.fromEntries(own.map((category) => [category, rate(within(category), model)])),
      ...Object.fromEntries([...controlled].map(([category, figures]) => [styleKey(category), figures[model] ?? null])),
    }),
    categories: (model) =>
      categories.length < 2
        ? {}
        : Object.fromEntries(
            categories.flatMap((category) => {
              const figure = rate(within(category), model);
              return figure === null ? [] : [[category, figure]];
            }),
          ),
    items: (model) => matches.filter((match) => match.model === model).flatMap((match) => itemOf(match, version)),
  };

  function controls(
    categories: readonly (string | undefined)[],
    battlesIn: (category: string | undefined) => StyledBattle[],
  ) {
    return new Map(
      categories.map((category) => {
        const battles = battlesIn(category);
        const seen = new Set(battles.map(({ model }) => model));
        const found = battles.length === 0 ? undefined : controlledRates(battles);
        return [
          category,
          Array.from({ length: models }, (_, model) => (found !== undefined && seen.has(model) ? found(model) : null)),
        ] as const;
      }),
    );
  }

  function controlledRates(battles: readonly StyledBattle[]): ((model: number) => Figure) | undefined {
    if (version === "v2.0") {
      const found = styleControlledV2(battles, models);
      return found && ((model) => percent(found.winRates[model]!));
    }
    const found = styleControlled(battles, models);
    const rates = resampledStyleControl(battles, models, rounds);
    if (found === undefined || rates === undefined) return undefined;
    return (model) => percent(found.winRates[model]!, arenaInterval(rates[model]!));
  }
}

const styleKey = (category: string | undefined): string =>
  category === undefined ? "style_controlled" : `${category}_style_controlled`;

/** What a question came to: the share of its battles that were won. None where no game of it has a verdict. */
function itemOf(match: Match, version: ArenaVersion): Item[] {
  const outcomes = battlesOf(labelsOf(match), version);
  if (outcomes.length === 0) return [];
  const { question, answer, games } = match;
  return [
    {
      id: question.id,
      value: 100 * mean(outcomes),
      category: question.category,
      question: question.prompt,
      answer: answer.text,
      words: games
        .map(
          ({ judgement }, at) => `Game ${at + 1}, ${at === 0 ? "the baseline" : "the model"} is A:\n${judgement.words}`,
        )
        .join("\n\n"),
    },
  ];
}
