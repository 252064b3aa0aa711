import { expect, test } from "vitest";
import type { RunStatus } from "../pipeline/index.ts";
import { statusText } from "./status-text.ts";

type Selection = NonNullable<RunStatus["selections"]["sft"]>;
type Row = Selection["contributions"][number];

const row = (source: string, domain: string | null, chosen: number): Row => ({
  ...{ source, domain, chosen, chosenShare: chosen / 640_000, reachedBest: chosen + 1, meanReward: 0.123456 },
  ...{ winShare: 0.625, equalLengthWinShare: null, responses: 3_200_000, empty: 7, unfinished: 12_345 },
});

const status = (selection: Selection): RunStatus => ({
  ...{ folder: "run", prompts: { sft: 0, wrpo: 640_000, evaluation: 10 }, stages: [], draws: [], scores: [] },
  selections: { sft: null, wrpo: selection },
});

test("contributions stand by source and domain, each figure of them, and fit a terminal", () => {
  const [one, other] = ["llama-3.1-70b", "qwen2.5-72b"] as const;
  const lines = statusText(
    status({
      selected: 640_000,
      contributions: [row(one, null, 400_000), row(other, null, 240_000)],
      domains: [
        row(one, "maths", 100_000),
        row(other, "maths", 40_000),
        row(one, "", 300_000),
        row(other, "", 200_000),
      ],
      leftOut: [{ reason: "its domain is full", prompts: 5 }],
      meanRewards: { sourceChosen: null, targetChosen: null, rejected: null },
      ...{
        sourceBelowRejected: 0,
        gaps: null,
        statistics: null,
        strengths: null,
        combine: "mean" as const,
        scales: [],
      },
      lengthEffect: { perThousand: 0.25, explained: 0.1 },
    }),
  ).split("\n");
  const table = lines.slice(lines.findIndex((line) => line.startsWith("Source  ")));
  expect(table[1]!.split(/ {2,}/)).toEqual([one, "400000", "62.5", "400001", "0.123", "62.5", "3200000", "7", "12345"]);
  expect(table.slice(3, 9).map((line) => line.trim().split(" ")[0])).toEqual(["maths:", one, other, "no", one, other]);
  for (const line of table.slice(0, 9)) expect(line.length).toBeLessThanOrEqual(100);
  expect(lines).toContainEqual(expect.stringContaining("0.25 for 1,000 characters"));
  expect(lines).toContain("Left out: 5 (its domain is full)");
});
