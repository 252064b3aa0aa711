import { mainSection } from "../evaluate/tables/index.ts";
import { type Html, html } from "./escape.ts";
import type { ReportData } from "./report-data.ts";

/** Before and after by the benchmarks of each suite; everything else stands on the suite's own page. */
export const suiteSection = ({ suites }: ReportData): Html =>
  html`${suites.map(({ name, board, page }) =>
    mainSection(
      board,
      `Benchmarks: ${name}`,
      html`<p class="soft">Comparisons, categories, gains and losses: <a href="${page}">${page}</a>.</p>\n`,
    ),
  )}`;
