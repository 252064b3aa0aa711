import { stringify } from "yaml";
import { type DatasetPart, partFile } from "./parts.ts";

/** Where the responses of a data set come from. */
export interface CardSource {
  readonly name: string;
  /** The model, in words. */
  readonly what: string;
  /** The licence that the model states; undefined where that is not known here. */
  readonly licence: string | undefined;
  /** Rows of each part whose preferred response is of it. */
  readonly chosen: number;
}

/** What a data set's card says. */
export interface CardFacts {
  readonly title: string;
  /** How it was made, a sentence each. */
  readonly made: readonly string[];
  readonly rows: Readonly<Partial<Record<DatasetPart, number>>>;
  readonly sources: readonly CardSource[];
  /** Rows that are not in it, with why. */
  readonly leftOut: readonly { readonly reason: string; readonly rows: number }[];
  /** The recipe's text, where there is one. */
  readonly recipe?: string;
}

const partWords: Readonly<Record<DatasetPart, string>> = {
  preference: "`prompt`, `chosen` (y_wt) and `rejected` (y_l) as messages; `y_ws` and `y_ls`, responses of sources",
  sft: "`prompt` and `completion` as messages",
};

/** The page of a data set (README.md), by whose front matter `datasets` finds its parts; the first part is the one that loads without a name. */
export function datasetCard({ title, made, rows, sources, leftOut, recipe }: CardFacts): string {
  const filled = (Object.entries(rows) as [DatasetPart, number][]).sort(([a], [b]) => (a < b ? -1 : 1));
  const total = filled.reduce((sum, [, count]) => sum + count, 0);
  const front = stringify({
    pretty_name: title,
    license: "unknown",
    task_categories: ["text-generation"],
    tags: ["amalgam", "preference", "trl"],
    size_categories: [sizeOf(total)],
    configs: filled.map(([part], at) => ({
      config_name: part,
      ...(at === 0 ? { default: true } : {}),
      data_files: [{ split: "train", path: partFile(part) }],
    })),
  });
  const known = sources.filter(({ licence }) => licence !== undefined).length;
  return [
    "---",
    front.trimEnd(),
    "---",
    "",
    `# ${inline(title)}`,
    "",
    ...made.map((sentence) => inline(sentence)),
    "",
    "| part | split | rows | columns |",
    "| --- | --- | --- | --- |",
    ...filled.map(([part, count]) => `| \`${part}\` | train | ${count} | ${partWords[part]} |`),
    "",
    "Rewards stand in `score_chosen`, `score_rejected` or `score`, their parts in `parts_chosen`, `parts_rejected` or `parts`.",
    ...(leftOut.length === 0
      ? []
      : ["", "Left out:", "", ...leftOut.map(({ reason, rows: count }) => `- ${count}: ${inline(reason)}`)]),
    "",
    "## Sources and licences",
    "",
    "| source | model | licence | chosen |",
    "| --- | --- | --- | --- |",
    ...sources.map(
      ({ name, what, licence, chosen }) =>
        `| ${cell(name)} | ${cell(what)} | ${licence === undefined ? "not known here" : cell(licence)} | ${chosen} |`,
    ),
    "",
    `The licences are those that the models state themselves; ${sources.length - known} of ${sources.length} are not known. They, and those of the prompts, hold for what is in this data set: see to them before you pass it on.`,
    ...(recipe === undefined
      ? []
      : ["", "## Recipe", "", "```yaml", recipe.trimEnd().replaceAll("```", "` ` `"), "```"]),
    "",
  ].join("\n");
}

/** The hub's names for sizes. */
function sizeOf(rows: number): string {
  if (rows < 1000) return "n<1K";
  if (rows < 10_000) return "1K<n<10K";
  if (rows < 100_000) return "10K<n<100K";
  return rows < 1_000_000 ? "100K<n<1M" : "1M<n<10M";
}

/** Names of anybody, in one line that begins no other element of Markdown. */
const inline = (text: string) => text.replace(/\s+/g, " ").replace(/[<>]/g, (sign) => (sign === "<" ? "&lt;" : "&gt;"));
const cell = (text: string) => inline(text).replaceAll("|", "\\|");
