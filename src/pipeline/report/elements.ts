import { type Html, html } from "./escape.ts";

export interface Column<Row> {
  readonly head: Html | string;
  readonly cell: (row: Row) => Html | string;
  /** Figures stand at the right; the first column, unless a figure, is the row's heading. */
  readonly kind?: "figure" | "text";
}

/** A table that scrolls by itself where it is wider than the page. */
export function table<Row>(caption: string, columns: readonly Column<Row>[], rows: readonly Row[]): Html {
  const classOf = ({ kind }: Column<Row>) => (kind === "figure" ? "n" : "text");
  const cell = (column: Column<Row>, row: Row, index: number) =>
    index === 0
      ? html`<th scope="row">${breakable(column.cell(row))}</th>`
      : html`<td class="${classOf(column)}">${column.cell(row)}</td>`;
  return html`<p class="caption">${caption}</p>
<div class="table" tabindex="0"><table aria-label="${caption}">
<thead><tr>${columns.map((column) => html`<th scope="col" class="${classOf(column)}">${column.head}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${columns.map((column, index) => cell(column, row, index))}</tr>\n`)}</tbody></table></div>\n`;
}

/** Lets a long name break after its punctuation first. */
function breakable(content: Html | string): Html {
  if (typeof content !== "string") return content;
  return html`${content.split(/(?<=[_:/.-])/).map((part) => html`${part}<wbr>`)}`;
}

export const section = (title: string, ...content: readonly Html[]): Html =>
  html`<section><h2>${title}</h2>\n${content}</section>\n`;

/** In place of what the run has not come to. */
export const notYet = (what: string): Html => html`<p class="yet">Not yet: ${what}.</p>\n`;

export const figure = (drawing: Html, caption: string): Html =>
  html`<figure>${drawing}<figcaption>${caption}</figcaption></figure>\n`;

export const figures = (drawn: readonly Html[], wide = false): Html =>
  drawn.length === 0 ? html`` : html`<div class="figures${wide ? " wide" : ""}">${drawn}</div>\n`;

export const legend = (entries: readonly { readonly name: string; readonly colour: string }[]): Html =>
  html`<ul class="legend">${entries.map(({ name, colour }) => html`<li class="${colour}"><i></i><span>${name}</span></li>`)}</ul>\n`;
