import type { Json } from "../../store/index.ts";
import { notYet, section, table } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { counted, date, duration, integer, number } from "./format.ts";
import { headlineOf } from "./headline.ts";
import type { Ingredient } from "./ingredients.ts";
import { pageHtml } from "./page.ts";
import type { ReportData, StageLine } from "./report-data.ts";
import { distributionSection, evaluationSection } from "./section-evaluation.ts";
import { examplesSection } from "./section-examples.ts";
import { logProbSection } from "./section-log-probs.ts";
import { rewardSection } from "./section-reward.ts";
import { contributionSection, leftOutSection } from "./section-selection.ts";
import { suiteSection } from "./section-suites.ts";
import { trainingSection } from "./section-training.ts";

/** The whole report as one page that needs nothing else. */
export function reportHtml(data: ReportData): string {
  return pageHtml(
    `${data.name}: a fusion by Amalgam`,
    html`${titleOf(data)}${verdictOf(data)}${ingredientsSection(data)}${evaluationSection(data)}${suiteSection(data)}${distributionSection(data)}
${contributionSection(data)}${leftOutSection(data)}${trainingSection(data)}${logProbSection(data)}${rewardSection(data)}${examplesSection(data)}
${timeSection(data)}${recipeSection(data)}`,
  );
}

function titleOf({ name, stages, madeAt, versions, machine }: ReportData): Html {
  const started = stages.map(({ startedAt }) => startedAt).sort()[0];
  const finished = stages
    .flatMap(({ finishedAt }) => finishedAt ?? [])
    .sort()
    .at(-1);
  const when = [
    ...(started === undefined ? [] : [`Started ${date(started)}`]),
    ...(finished === undefined ? [] : [`last stage ended ${date(finished)}`]),
    `report of ${date(madeAt)}`,
  ].join(", ");
  const made = Object.entries(versions).map(([part, version]) => `${part} ${version}`);
  return html`<header><h1>${name}</h1>
<p class="soft">A fusion by Amalgam. ${when}.<br>${made.join(", ")}.<br>${machine}.</p></header>\n`;
}

function verdictOf({ evaluation }: ReportData): Html {
  const headline = headlineOf(evaluation);
  if (headline === undefined) {
    return html`<div class="verdict"><strong>No verdict yet.</strong> The models have not been compared on the held-out prompts.</div>\n`;
  }
  const { tone, said, sentence, caveats } = headline;
  return html`<div class="verdict ${tone}"><strong>${said}</strong>
<p>${sentence}</p>${caveats.map((caveat) => html`<p class="soft">${caveat}</p>`)}</div>\n`;
}

function ingredientsSection({ ingredients, prompts }: ReportData): Html {
  const { target, sources, rewards, rewardIdentity } = ingredients;
  return section(
    "What was fused",
    table<Ingredient>(
      `${counted(sources.length, "source")} into one target.`,
      [
        { head: "Name", cell: ({ name }) => name },
        { head: "Model", cell: ({ reference }) => html`<code>${reference}</code>` },
        {
          head: "Digest",
          cell: ({ identity }) => (identity === null ? "not read yet" : shortDigest(identity)),
        },
      ],
      [target, ...sources],
    ),
    table<(typeof rewards)[number]>(
      "The reward: the weighted sum of these.",
      [
        { head: "Reward", cell: ({ name }) => name },
        { head: "What it is", cell: ({ reference }) => reference },
        { head: "Weight", kind: "figure", cell: ({ weight }) => number(weight) },
      ],
      rewards,
    ),
    html`<p class="soft">Identity of the reward: ${shortDigest(rewardIdentity)}. Prompts:
${integer(prompts.sft)} for SFT, ${integer(prompts.wrpo)} for WRPO, ${integer(prompts.evaluation)} held out.</p>\n`,
  );
}

/** The first twelve digits of a digest, the whole on pointing at it; an identity in words as it is. */
const shortDigest = (identity: string): Html =>
  /^[0-9a-f]{16,}$/.test(identity)
    ? html`<code title="${identity}">${identity.slice(0, 12)}</code>`
    : html`<code>${identity}</code>`;

function timeSection({ stages }: ReportData): Html {
  const title = "Time";
  if (stages.length === 0) return section(title, notYet("no stage was started"));
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  return section(
    title,
    table<StageLine>(
      `All attempts of each stage together: ${duration(total)}.`,
      [
        { head: "Stage", cell: ({ name }) => name },
        { head: "State", cell: ({ state }) => state },
        { head: "Time", kind: "figure", cell: ({ seconds }) => duration(seconds) },
        { head: "Done", kind: "figure", cell: ({ done, total: all }) => `${integer(done)} of ${integer(all)}` },
        { head: "Failed", kind: "figure", cell: ({ failed }) => integer(failed) },
        { head: "Counts", kind: "text", cell: ({ counts }) => countsText(counts) },
      ],
      stages,
    ),
  );
}

/** Nested counts on one line: `prompts 12, dropped: empty 3, unfinished 1`. */
function countsText(counts: StageLine["counts"]): string {
  const one = ([name, value]: readonly [string, Json]): string => {
    if (typeof value === "number") return `${name} ${number(value)}`;
    if (value === null || typeof value !== "object") return `${name} ${String(value)}`;
    return `${name}: ${JSON.stringify(value)}`;
  };
  return Object.entries(counts).map(one).join(", ");
}

function recipeSection({ recipeText }: ReportData): Html {
  const title = "The recipe as resolved";
  if (recipeText === null) return section(title, notYet("the run folder has no recipe.yaml"));
  return section(
    title,
    html`<details><summary>Every setting, defaults filled in</summary><pre>${recipeText}</pre></details>\n`,
  );
}
