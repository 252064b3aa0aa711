import { visible } from "../report/escape.ts";
import { counted, interval, percent } from "../report/format.ts";
import type { Accuracy, FittedWeights, PairAgreement, RewardAccuracy } from "./figures.ts";
import type { AgreementReport } from "./index.ts";

const wholeName = "all together";
const labelName = "labels of the file";

/** What came out, as Markdown: what is printed, and what stands in agreement.md. */
export function agreementMarkdown(report: AgreementReport): string {
  const { accuracies, agreement, fitted } = report;
  const left = [
    ...(report.skippedRows === 0 ? [] : [`${counted(report.skippedRows, "row")} of the file of no use`]),
    ...(report.unscoredRows === 0 ? [] : [`${counted(report.unscoredRows, "row")} that a reward failed on`]),
  ];
  const blocks = [
    `# Agreement of ${report.reward}`,
    `With the labels of ${report.file}, in ${counted(report.rows, "row")}${left.length === 0 ? "." : `; left out: ${left.join(", ")}.`}`,
    ...accuracyBlocks(accuracies),
    "## With each other",
    table(
      ["of", "and", "pairs", "Kendall's tau-b", "Cohen's kappa"],
      agreement.map(({ pair: [a, b], pairs, ...alike }) => [
        a ?? labelName,
        b,
        String(pairs),
        figure(alike.tau),
        figure(alike.kappa),
      ]),
    ),
    "Over pairs of responses of one row, of which kappa counts each in both orders, ties as a category of their own.",
    ...(fitted === null ? [] : fittedBlocks(fitted)),
  ];
  return visible(blocks.join("\n\n"));
}

const figure = (value: PairAgreement["tau"]): string =>
  value === null ? "–" : value.toFixed(4).replace(/^-(0\.0+)$/, "$1");

const accuracyCell = (of: Accuracy | null): string =>
  of === null ? "–" : `${percent(of.accuracy)} (${interval(of.interval, percent)})`;

const nameOf = ({ reward }: RewardAccuracy): string => reward ?? wholeName;

function accuracyBlocks(accuracies: readonly RewardAccuracy[]): string[] {
  const names = accuracies.map(nameOf);
  const [first] = accuracies as [RewardAccuracy, ...RewardAccuracy[]];
  const cells = (cell: (of: RewardAccuracy) => string) => accuracies.map(cell);
  const lines = [
    ["all rows", String(first.overall?.rows ?? 0), ...cells(({ overall }) => accuracyCell(overall))],
    ["rows without a verdict", "", ...cells(({ silentRows }) => String(silentRows))],
    ...first.subsets.map(({ subset, rows }, at) => [
      subset,
      String(rows),
      ...cells(({ subsets }) => accuracyCell(subsets[at]!)),
    ]),
    ...(first.subsetMean === null
      ? []
      : [["mean over the subsets", "", ...cells(({ subsetMean }) => percent(subsetMean!))]]),
    ...first.sections.map(({ section, rows }, at) => [
      `section ${section}`,
      String(rows),
      ...cells(({ sections }) => percent(sections[at]!.accuracy)),
    ]),
    ...(first.sectionMean === null
      ? []
      : [["mean over the sections", "", ...cells(({ sectionMean }) => percent(sectionMean!))]]),
  ];
  const sections =
    first.sections.length === 0
      ? first.subsets.length === 0
        ? []
        : ["The subsets are not RewardBench's: their mean counts each the same."]
      : [
          "Sections as in RewardBench: subsets by their rows, math-prm as much as the six of code together. There a tie counts as lost, here as half.",
        ];
  return [
    "## Accuracy",
    table(["", "rows", ...names], lines),
    "Share of the pairs in which the response with the better label has the higher reward, ties as halves, with 95 % bootstrap intervals over rows.",
    ...sections,
  ];
}

function fittedBlocks({ free, recipe, pairs, folds, crossValidated, asWritten }: FittedWeights): string[] {
  const rows = free.map(({ reward, weight }, at) => [
    reward,
    weight.toPrecision(4),
    recipe === null ? "–" : recipe[at]!.weight.toFixed(4),
  ]);
  const useless = recipe?.filter(({ weight }) => weight === 0).map(({ reward }) => reward) ?? [];
  return [
    "## Weights that fit the labels best",
    table(["reward", "weight, of any sign", "share in a recipe"], rows),
    `Logistic regression of which response is the better one on the differences of the rewards (Bradley and Terry's model), over ${counted(pairs, "pair")}, a row counted once, with a ridge of 1 on differences scaled to a root mean square of 1. A recipe's weights are not below 0.`,
    `Accuracy of fitted weights on rows that they were not fitted on (${folds} folds by prompt): ${accuracyCell(crossValidated)}; of the recipe's weights: ${accuracyCell(asWritten)}.`,
    recipe === null
      ? "No weighing of these rewards orders the responses better than chance."
      : [
          "In the recipe:",
          "",
          "```yaml",
          "rewards:",
          ...recipe
            .filter(({ weight }) => weight > 0)
            .map(
              ({ reward, index, weight }) =>
                `  # rewards.${index}, ${reward}\n  - weight: ${Number(weight.toFixed(4))}`,
            ),
          "```",
          "",
          `Or: ${recipe
            .filter(({ weight }) => weight > 0)
            .map(({ index, weight }) => `--set rewards.${index}.weight=${Number(weight.toFixed(4))}`)
            .join(" ")}`,
          ...(useless.length === 0 ? [] : ["", `To be taken out, as they add nothing: ${useless.join(", ")}.`]),
        ].join("\n"),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, at) => (at === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}
