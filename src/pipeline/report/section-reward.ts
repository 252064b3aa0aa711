import type { Agreement, LongerWins } from "../../preferences/index.ts";
import { notYet, section, table } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { counted, integer, percent, reward } from "./format.ts";
import type { ReportData } from "./report-data.ts";
import { effectWords, sourcesStatistics } from "./reward-words.ts";
import type { SampleGroup } from "./samples.ts";
import { groupName } from "./section-selection.ts";

/** What the reward likes: lengths beside rewards, whether the longer response wins, and whether the reward's components agree. */
export function rewardSection(data: ReportData): Html {
  const title = "What the reward likes";
  const scored = data.samples.filter(({ meanTokens }) => meanTokens !== null);
  if (scored.length === 0) return section(title, notYet("no response has a score"));
  const statistics = sourcesStatistics(data);
  if (statistics === undefined) return section(title, lengthTable(scored, data));
  const { length, agreement, prompts, pairs } = statistics;
  const lengthWords =
    length.tau === null
      ? "Reward and length can't be set against each other: one of the two never differs."
      : `Kendall's tau-b of reward and length in characters is ${reward(length.tau)}: 1 where the longer response always has the higher reward, 0 where length says nothing, -1 where the shorter one has.`;
  const compared = `${counted(pairs, "pair")} of responses of the sources to one prompt, over ${counted(prompts, "prompt")}`;
  return section(
    title,
    lengthTable(scored, data),
    html`<p>${lengthWords}</p>\n`,
    length.effect === null
      ? html``
      : html`<p>By least squares (reward = prompt + source + b \u00b7 characters), ${effectWords(length.effect)}.</p>\n`,
    table<LongerWins>(
      `How often the longer response of a pair has the higher reward, ties as halves: ${compared}.`,
      [
        { head: "As long as the other", cell: timesWords },
        { head: "The longer wins", kind: "figure", cell: ({ share }) => (share === null ? "\u2013" : percent(share)) },
        { head: "Pairs", kind: "figure", cell: (row) => integer(row.pairs) },
      ],
      length.longerWins,
    ),
    agreement.length === 0
      ? html`<p class="soft">The reward has one component: there is nothing that it could agree with.</p>\n`
      : table<Agreement>(
          `How alike the components of the reward order the responses to one prompt: Kendall's tau-b, 1 the same order, 0 none in common, -1 the reverse. ${compared}.`,
          [
            { head: "Components", cell: ({ components }) => components.join(" and ") },
            { head: "tau-b", kind: "figure", cell: ({ tau }) => (tau === null ? "\u2013" : reward(tau)) },
            { head: "Pairs that both tell apart", kind: "figure", cell: ({ decided }) => integer(decided) },
          ],
          agreement,
        ),
  );
}

/** `1.1 to 1.25 times`. */
const timesWords = ({ from, below }: LongerWins): string =>
  from === 1 ? `up to ${below} times` : below === null ? `${from} times and more` : `${from} to ${below} times`;

/** Mean tokens of every model's responses beside their mean reward: a reward may just like length. */
function lengthTable(scored: readonly SampleGroup[], { supervised }: ReportData): Html {
  return table<SampleGroup>(
    "Scored responses. Cut off: ended by the token limit, not by the model.",
    [
      { head: "Responses of", cell: (sample) => groupName(sample, supervised) },
      { head: "Mean tokens", kind: "figure", cell: ({ meanTokens }) => (meanTokens ?? 0).toFixed(1) },
      { head: "Mean reward", kind: "figure", cell: ({ meanReward }) => reward(meanReward ?? 0) },
      { head: "Cut off", kind: "figure", cell: (sample) => percent(sample.unfinished, sample.scored) },
      { head: "Responses", kind: "figure", cell: (sample) => integer(sample.scored) },
    ],
    scored,
  );
}
