import { placeWord } from "../data/index.ts";
import { type Converted, type DataCheck, dataNotes, dataProblems, rowForms, visible } from "../pipeline/index.ts";
import type { RowFormName } from "../schema/index.ts";
import { table } from "./format.ts";

/** Places that are named of each kind. */
const shown = 10;

/** What `amalgam data check` prints. */
export function dataCheckText(check: DataCheck): string {
  const { file, files, format, rows, problems, notes, lengths, chosenLonger } = check;
  const figures = Object.entries(lengths).map(([name, of]) => [
    name.replaceAll("_", " "),
    ...[of.count, of.least, of.median, of.p95, of.most].map(String),
  ]);
  const { longer, pairs } = chosenLonger;
  const wrong = Object.values(problems).reduce((sum, { count }) => sum + count, 0);
  return [
    `${file}: ${rows} rows${files === undefined ? "" : ` in ${files.length === 1 ? files[0] : `${files.length} files`}`}`,
    ...(format === null ? [] : [`Read as ${format}`]),
    ...(figures.length === 0
      ? []
      : ["", ...table(["Characters of", "Texts", "Least", "Median", "95 % below", "Most"], figures)]),
    ...(pairs === 0
      ? []
      : [
          `The chosen response is the longer one in ${longer} of ${pairs} pairs (${Math.round((100 * longer) / pairs)} %).`,
        ]),
    ...lines(dataProblems, problems, file),
    ...lines(dataNotes, notes, file, "Worth knowing: "),
    "",
    wrong === 0 ? "Nothing is wrong." : `${wrong} problems.`,
  ].join("\n");
}

function lines<Kind extends string>(
  words: Readonly<Record<Kind, string>>,
  found: Readonly<Partial<Record<Kind, DataCheck["problems"]["form"]>>>,
  named: string,
  before = "",
): string[] {
  return (Object.keys(words) as Kind[]).flatMap((kind) => {
    const of = found[kind];
    if (of === undefined) return [];
    const places = of.first
      .slice(0, shown)
      .map(({ file, line, field, message }) =>
        visible(
          `  ${placeWord(file ?? named)} ${line}${file === undefined ? "" : ` of ${file}`}${field === undefined ? "" : `, ${field}`}: ${message}`,
        ),
      );
    const more = of.count - places.length;
    return ["", `${before}${of.count} ${words[kind]}`, ...places, ...(more > 0 ? [`  and ${more} more`] : [])];
  });
}

/** What `amalgam data convert` prints. */
export function convertedText({ read, written, leftOut, lost }: Converted, file: string, to: RowFormName): string {
  const counted = (title: string, of: Readonly<Record<string, number>>) => {
    const entries = Object.entries(of);
    return entries.length === 0 ? [] : ["", title, ...entries.map(([what, rows]) => visible(`  ${rows}: ${what}`))];
  };
  return [
    `${file}: ${written} rows of ${read}`,
    `Written as ${rowForms[to].words}`,
    ...counted("Left out", leftOut),
    ...counted("Not kept, in so many rows", lost),
  ].join("\n");
}
