import type { LengthEffect, RewardStatistics } from "../../preferences/index.ts";
import { counted, percent, reward } from "./format.ts";
import type { ReportData } from "./report-data.ts";

/** The statistics of the sources' responses: those of the larger part of the prompts, which is the preference part as a rule. */
export const sourcesStatistics = ({ selections }: Pick<ReportData, "selections">): RewardStatistics | undefined =>
  [selections.wrpo?.statistics ?? undefined, selections.sft?.statistics ?? undefined]
    .filter((found) => found !== undefined)
    .sort((a, b) => b.pairs - a.pairs)[0];

/** What the length is worth to the reward. */
export const effectWords = ({ perThousand, explained }: LengthEffect): string =>
  `between responses of one source to one prompt, 1,000 characters more add ${reward(perThousand)}, which explains ${percent(explained)} of how their rewards differ`;

/** What the reward likes, in lines for a terminal; none where there is nothing to compare. */
export function rewardLines(statistics: RewardStatistics): string[] {
  const { length, agreement, pairs } = statistics;
  if (pairs === 0) return [];
  const [equal] = length.longerWins;
  const longer = length.longerWins.slice(1).filter(({ share }) => share !== null);
  const compared = longer.reduce((sum, row) => sum + row.pairs, 0);
  const won = longer.reduce((sum, row) => sum + row.pairs * row.share!, 0);
  const wins = (what: string, share: number) => `the longer response wins ${percent(share)} of ${what}`;
  return [
    `What the reward likes (${counted(pairs, "pair")} of responses to one prompt)`,
    ...(length.tau === null ? [] : [`  reward and length: Kendall's tau-b ${reward(length.tau)}`]),
    ...(length.effect === null ? [] : [`  ${effectWords(length.effect)}`]),
    ...(compared === 0 ? [] : [`  ${wins("pairs that differ in length by more than a tenth", won / compared)}`]),
    ...(equal?.share == null ? [] : [`  ${wins("those equally long within a tenth", equal.share)}`]),
    ...agreement.map(
      ({ components, tau }) =>
        `  ${components.join(" and ")}: ${tau === null ? "one of the two tells no responses apart" : `Kendall's tau-b ${reward(tau)}`}`,
    ),
  ];
}
