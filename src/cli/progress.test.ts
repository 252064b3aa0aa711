import { describe, expect, test } from "vitest";
import type { Progress } from "../pipeline/index.ts";
import { formatFigure, formatRate, formatSeconds, table } from "./format.ts";
import { progressPrinter } from "./progress.ts";

function printer(terminal: boolean) {
  const written: string[] = [];
  let time = 0;
  const output = { terminal, columns: () => 60, write: (more: string) => void written.push(more) };
  const printing = progressPrinter(output, () => time);
  return {
    ...printing,
    pass: (seconds: number) => {
      time += seconds * 1000;
    },
    written: () => written.splice(0).join(""),
  };
}

const steps = (done: number): Progress => ({
  stage: "wrpo",
  label: "wrpo",
  done,
  total: 100,
  unit: "steps",
  figures: { loss: 0.42356 },
});

describe("without a terminal", () => {
  test("a line at the start and the end of a stage, and at most one every ten seconds", () => {
    const { written, pass, ...out } = printer(false);
    out.stageStarted("wrpo");
    expect(written()).toBe("WRPO ...\n");
    for (let step = 0; step <= 24; step++) {
      out.progress(steps(step));
      pass(1);
    }
    expect(written().split("\n")).toEqual([
      "WRPO, wrpo: 0 of 100 steps, loss 0.4236",
      "WRPO, wrpo: 10 of 100 steps, 1.0/s, 1 min 30 s left, loss 0.4236",
      "WRPO, wrpo: 20 of 100 steps, 1.0/s, 1 min 20 s left, loss 0.4236",
      "",
    ]);
    out.stageFinished("wrpo", { seconds: 100, skipped: false });
    out.stageFinished("report", { seconds: 0, skipped: true });
    expect(written()).toBe("WRPO: done in 1 min 40 s\nwriting the report: done before\n");
  });
});

describe("on a terminal", () => {
  test("one line is written over and over, no wider than the terminal, and gives way to what stays", () => {
    const { written, pass, ...out } = printer(true);
    out.stageStarted("wrpo");
    out.progress(steps(0));
    pass(0.05);
    out.progress(steps(1));
    pass(0.1);
    out.progress(steps(2));
    const lines = written().split("\r\x1b[K");
    expect(lines).toEqual([
      "",
      "WRPO ...",
      "WRPO, wrpo: 0 of 100 steps, loss 0.4236",
      "WRPO, wrpo: 2 of 100 steps, 13.3/s, 7.3 s left, loss 0.4236".slice(0, 59),
    ]);
    out.notice("3 prompts\x1b[2J left out");
    expect(written()).toBe("\r\x1b[K  3 prompts [2J left out\n");
    out.clear();
    expect(written()).toBe("");
  });
});

test("the rate follows the last minute", () => {
  const { written, pass, ...out } = printer(false);
  let done = 0;
  for (let second = 0; second < 300; second++) {
    out.progress(steps(done / 10));
    done += second < 150 ? 1 : 2;
    pass(1);
  }
  const rates = written()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => / ([\d.]+\/(?:s|min)),/.exec(line)?.[1]);
  expect(rates[10]).toBe("6.0/min");
  expect(rates.at(-1)).toBe("12.0/min");
});

test("times, rates and figures are short", () => {
  expect([0.04, 9.94, 59.4, 75, 3725, 90_061, Number.POSITIVE_INFINITY].map(formatSeconds)).toEqual([
    "0.0 s",
    "9.9 s",
    "59 s",
    "1 min 15 s",
    "1 h 2 min",
    "1 d 1 h",
    "?",
  ]);
  expect([250, 12.34, 0.5, 0.001].map(formatRate)).toEqual(["250/s", "12.3/s", "30.0/min", "3.6/h"]);
  expect([3, 0.123456, 3e-7, 0].map(formatFigure)).toEqual(["3", "0.1235", "3.00e-7", "0"]);
  expect(
    table(
      ["Source", "Chosen"],
      [
        ["a", "5"],
        ["longer", "12"],
      ],
    ),
  ).toEqual(["Source  Chosen", "a            5", "longer      12"]);
});
