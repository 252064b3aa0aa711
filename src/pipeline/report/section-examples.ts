import { notYet, section } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import type { Example, ExampleResponse } from "./examples.ts";
import { counted, integer, number, reward, signed } from "./format.ts";
import { modelName } from "./names.ts";
import type { ReportData } from "./report-data.ts";

/** Longest text shown of one message or response, in characters; the ledger has the whole. */
const shownLength = 20_000;

const kinds: Readonly<Record<Example["kind"], string>> = {
  gained: "Gained most",
  lost: "Lost most",
  typical: "Typical: nearest to the median difference",
};

export function examplesSection({ examples }: ReportData): Html {
  const title = "Examples side by side";
  if (examples.length === 0) return section(title, notYet("no two models have scored responses to the same prompt"));
  return section(
    title,
    html`<p class="soft">Held-out prompts, picked by the rule alone; among equals a digest of the prompt's id decides. Of
each model's responses the one is shown whose reward is nearest to the model's mean on the prompt.</p>\n`,
    ...examples.map(exampleBox),
  );
}

const exampleBox = (example: Example): Html => html`<div class="example">
<h3>${kinds[example.kind]}: <span class="${toneOf(example.difference)}">${signed(example.difference)}</span></h3>
<p class="soft">Prompt <code>${example.promptId}</code></p>
${example.messages.map(({ role, content }) => html`<div class="soft">${role}</div>${said(content)}`)}
<div class="pair">${responseBox(example.beforeLabel, example.before)}${responseBox(example.afterLabel, example.after)}</div>
</div>\n`;

const toneOf = (difference: number) => (difference > 1e-9 ? "up" : difference < -1e-9 ? "down" : "soft");

function responseBox(label: string, response: ExampleResponse): Html {
  const { value, meanReward, responses, tokens, finish, text, parts } = response;
  const cut = finish === "length" ? ", cut off by the token limit" : "";
  return html`<div><strong>${modelName(label)}</strong>: reward ${reward(value)}
<span class="soft">(mean of ${counted(responses, "response")}: ${reward(meanReward)}; ${integer(tokens)} tokens${cut})</span>
${text.trim() === "" ? html`<p class="yet">An empty response.</p>` : said(text)}
<ul class="parts">${parts.map(({ name, value: part }) => html`<li>${name}: <b>${number(part)}</b></li>`)}</ul></div>\n`;
}

function said(text: string): Html {
  const characters = [...text];
  const more = characters.length - shownLength;
  const shown = more > 0 ? characters.slice(0, shownLength).join("") : text;
  const rest =
    more > 0 ? html`<p class="soft">${counted(more, "more character")}: the ledger has the whole.</p>` : html``;
  return html`<div class="said" dir="auto" tabindex="0">${shown}</div>${rest}\n`;
}
