import type { Column, Figure } from "../../../evaluation/index.ts";
import { type Html, html } from "../../report/escape.ts";
import { notOfficial, spreadText, valueText } from "./words.ts";

/** A figure, and below it how sure it is. `reference` follows the figure. */
export function figureLines(figure: Figure, unit: Column["unit"], official: boolean, reference = ""): Html {
  const spread = spreadText(figure, unit);
  const following = [...(official ? [] : [notOfficial]), ...(reference === "" ? [] : [reference])].join(" ");
  return html`${valueText(figure.value, unit)}${following === "" ? "" : ` ${following}`}${spread === "" ? html`` : html`<br><span class="soft">${spread}</span>`}`;
}
