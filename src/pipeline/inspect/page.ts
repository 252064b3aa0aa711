import { wordDiff } from "../../preferences/index.ts";
import { type Flag, flagWords } from "../../schema/index.ts";
import { type Html, html } from "../report/escape.ts";
import { number, signed } from "../report/format.ts";
import { pageHtml } from "../report/page.ts";
import { pageScript } from "./page-script.ts";
import { flagsIn, gapOf, pairOf, rewardWords, type Shown, type ShownResponse, winnerOf } from "./record.ts";
import { cutText, roleWords } from "./text.ts";

/** Characters of all texts of a page: what a browser still shows at once. */
const mostCharacters = 20_000_000;

/** What a page holds, as prompts are added one by one. */
export interface InspectPage {
  /** False where the page is full: this prompt and all after it are left out, and counted. */
  add(shown: Shown): boolean;
  html(title: string): string;
  readonly embedded: number;
  readonly leftOut: number;
}

/** A page of `limit` prompts at most, and 20 million characters. */
export function inspectPage(limit: number): InspectPage {
  const articles: Html[] = [];
  const sources = new Set<string>();
  const domains = new Set<string>();
  const flags = new Set<Flag>();
  let [characters, leftOut] = [0, 0];
  return {
    get embedded() {
      return articles.length;
    },
    get leftOut() {
      return leftOut;
    },
    add(shown) {
      const size = sizeOf(shown);
      if (leftOut > 0 || articles.length >= limit || (characters + size > mostCharacters && articles.length > 0)) {
        leftOut += 1;
        return false;
      }
      characters += size;
      const winner = winnerOf(shown);
      if (winner !== undefined) sources.add(winner);
      if (shown.domain !== undefined) domains.add(shown.domain);
      for (const flag of flagsIn(shown)) flags.add(flag);
      articles.push(article(shown));
      return true;
    },
    html(title) {
      const total = articles.length + leftOut;
      const left =
        leftOut === 0
          ? html``
          : html`<p class="yet">${leftOut} of ${total} prompts that were asked for are not on this page, which holds ${limit}
prompts or 20 million characters at most: ask for fewer (--source, --domain, --flag, --search, --min-gap), draw some by lot (--sample),
or raise --most.</p>\n`;
      const body = html`<h1>${title}</h1>
<p class="soft">${articles.length} prompts with all their responses, the best reward first. The gap is that of the rewards of the chosen and the
rejected response; where nothing was chosen, of the best and the worst.</p>
${left}${filters([...sources].sort(), [...domains].sort(), [...flags])}
${articles}`;
      return pageHtml(title, body, pageScript);
    },
  };
}

const sizeOf = ({ messages, responses }: Shown): number =>
  [...messages.map(({ content }) => content), ...responses.map(({ text }) => text)].reduce(
    (sum, text) => sum + cutText(text).text.length,
    0,
  );

/** Hidden where scripts don't run. Names begin with a sign, so that none is the empty one that stands for all. */
const filters = (sources: readonly string[], domains: readonly string[], flags: readonly Flag[]): Html => {
  const options = (names: readonly string[], sign: string) =>
    names.map((name) => html`<option value="${sign}${name}">${name}</option>`);
  return html`<form class="filters" hidden>
<label>Preferred from<select name="source"><option value="">any source</option>${options(sources, "=")}</select></label>
<label>Domain<select name="domain"><option value="">any</option>${options(domains, "=")}</select></label>
<label>Flag<select name="flag"><option value="">any or none</option>${options(flags, "")}</select></label>
<label>Least gap<input name="least" type="number" step="any"></label>
<label>Most gap<input name="most" type="number" step="any"></label>
<label>Text<input name="search" type="search"></label>
<button type="button">One by lot</button>
<output></output>
</form>`;
};

function article(shown: Shown): Html {
  const { id, place, domain, messages, responses, leftOut } = shown;
  const gap = gapOf(shown);
  return html`<article class="example shown" data-source="${winnerOf(shown) ?? ""}" data-domain="${domain ?? ""}" data-flags="${flagsIn(shown).join(" ")}" data-gap="${gap ?? ""}">
<h3>${id}</h3>
<p class="soft">${place}${domain === undefined ? "" : `, domain ${domain}`}${gap === undefined ? "" : `, gap ${signed(gap)}`}</p>
${leftOut === undefined ? html`` : html`<p class="yet">Left out: ${leftOut}</p>`}
${messages.map(({ role, content }) => html`<div class="soft">${role}</div>${said(content)}`)}
${responses.length === 0 ? html`<p class="yet">No response yet.</p>` : html``}
${responses.map((response, at) => responseBox(response, at + 1))}${diffBox(shown)}
</article>\n`;
}

function responseBox(response: ShownResponse, rank: number): Html {
  const { source, index, tokens, parts, roles, flags, text } = response;
  const name = [source, index === undefined ? undefined : `#${index}`].filter((word) => word !== undefined).join(" ");
  return html`<details${roles.length > 0 ? { html: " open" } : ""}><summary>${rank}. <strong>${rewardWords(response)}</strong> ${name}
${roles.map((role) => html`<span class="tag role">${roleWords[role]}</span> `)}${flags.map((flag) => html`<span class="tag flag" title="${flagWords[flag]}">${flag}</span> `)}${
  tokens === undefined ? "" : html`<span class="soft">${tokens} tokens</span>`
}</summary>
${text.trim() === "" ? html`<p class="yet">An empty response.</p>` : said(text)}
${parts.length === 0 ? html`` : html`<ul class="parts">${parts.map((part) => html`<li>${part.name}: <b>${number(part.value)}</b>${part.weight === 0 ? "" : ` x ${number(part.weight)}`}</li>`)}</ul>`}</details>\n`;
}

function diffBox(shown: Shown): Html {
  const pair = pairOf(shown);
  if (pair === undefined) return html``;
  const parts = wordDiff(cutText(pair.rejected.text).text, cutText(pair.chosen.text).text);
  const content =
    parts === undefined
      ? html`<p class="yet">They differ in more than 2,000 words.</p>`
      : html`<div class="said diff" dir="auto" tabindex="0">${parts.map((part) =>
          part.kind === "same"
            ? html`${part.text}`
            : part.kind === "added"
              ? html`<ins>${part.text}</ins>`
              : html`<del>${part.text}</del>`,
        )}</div>`;
  return html`<details open><summary>From the rejected to the chosen</summary>\n${content}</details>\n`;
}

function said(given: string): Html {
  const { text, more } = cutText(given);
  return html`<div class="said" dir="auto" tabindex="0">${text}</div>${more === undefined ? html`` : html`<p class="soft">${more}.</p>`}\n`;
}
