import { type BoardBenchmark, type Leaderboard, type Moved, unitOfDifference } from "../../../evaluation/index.ts";
import { visible } from "../../report/escape.ts";
import { counted, integer } from "../../report/format.ts";
import { inline } from "./markdown-elements.ts";
import { labelText, signedText, valueText } from "./words.ts";

/** Longest text of one answer that is shown, in characters. */
const shownLength = 4000;

/** Where a model gained and lost most against another, question by question. */
export function focusBlocks({ focus, benchmarks }: Leaderboard): string[] {
  if (focus === null) return [];
  const { model, baseline } = focus;
  return [
    `## Where ${inline(model)} gained and lost most against ${inline(baseline)}`,
    ...focus.benchmarks.flatMap(({ benchmark, better, same, worse, gained, lost }) => {
      const board = benchmarks.find((each) => each.benchmark === benchmark)!;
      const { unit } = board.columns[0]!;
      return [
        `### ${inline(labelText(board))}`,
        `Better on ${counted(better, "question")}, the same on ${integer(same)}, worse on ${integer(worse)}.`,
        ...gained.flatMap((moved) => movedBlocks("Gained", moved, model, baseline, unit)),
        ...lost.flatMap((moved) => movedBlocks("Lost", moved, model, baseline, unit)),
      ];
    }),
  ];
}

function movedBlocks(
  kind: string,
  { id, category, question, difference, model: after, baseline: before }: Moved,
  model: string,
  baseline: string,
  unit: BoardBenchmark["columns"][number]["unit"],
): string[] {
  const side = (name: string, { value, answer, words }: Moved["model"]) => [
    `${inline(name)}: ${valueText(value, unit)} ${unit}`,
    ...(answer === undefined ? [] : [fenced(answer)]),
    ...(words === undefined ? [] : ["The judge:", fenced(words)]),
  ];
  return [
    `#### ${kind} ${signedText(difference)} ${unitOfDifference(unit)}: question ${inline(id)}${category === undefined ? "" : ` (${inline(category)})`}`,
    ...(question === undefined ? [] : [fenced(question)]),
    ...side(baseline, before),
    ...side(model, after),
  ];
}

/** A text as it is, in a fence longer than any in it. */
function fenced(text: string): string {
  const characters = [...text];
  const more = characters.length - shownLength;
  const shown = visible(more > 0 ? characters.slice(0, shownLength).join("") : text);
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  const rest = more > 0 ? `\n\n${counted(more, "more character")}: leaderboard.json has the whole.` : "";
  return `${fence}text\n${shown}\n${fence}${rest}`;
}
