import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type DrawnResult, finalFigures } from "./results.ts";
import { axisSection, curveSection } from "./sweep-figures.ts";
import type { DrawnReport } from "./write.ts";

const curve = (name: string, values: readonly number[]) => ({
  name,
  points: values.map((mean, index) => ({ step: index + 1, mean, low: mean, high: mean })),
});

/** A variant that was trained, with this accuracy in the end and these losses. */
const variant = (settings: DrawnResult["settings"], accuracy: number, losses: readonly number[]): DrawnResult => ({
  name: Object.values(settings).join("-"),
  folder: "",
  settings,
  point: settings as NonNullable<DrawnResult["point"]>,
  objective: (settings["wrpo.objective"] as DrawnResult["objective"]) ?? "wrpo",
  done: true,
  seconds: 1,
  models: null,
  against: null,
  training: { steps: losses.length, measured: "held out", loss: 1, accuracy, margin: 0, sourceAccuracy: accuracy },
  curves: { steps: losses.length, unreadable: 0, stepsAPoint: 1, curves: [curve("loss", losses)] },
  logProbs: null,
});

const charts = (html: string) => html.match(/<svg [\s\S]*?<\/svg>/g) ?? [];
const circles = (svg: string) =>
  [...svg.matchAll(/<circle class="fill (\S+)" cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, colour, x, y]) => ({
    colour: colour!,
    x: Number(x),
    y: Number(y),
  }));

test("a numeric field of a grid has its values along the axis, a line for each of the other fields'", () => {
  const grid = { "wrpo.alpha_schedule": ["linear", "static"], "wrpo.alpha": [0.1, 0.5, 0.3] };
  const variants = grid["wrpo.alpha_schedule"].flatMap((schedule, row) =>
    grid["wrpo.alpha"].map((alpha) =>
      variant({ "wrpo.alpha_schedule": schedule, "wrpo.alpha": alpha }, alpha + row / 10, [1, 2]),
    ),
  );
  const { html } = axisSection({ grid, variants } as unknown as DrawnReport);
  const drawn = charts(html).find((svg) => svg.includes("reward accuracy"))!;
  const points = circles(drawn);
  expect(points.map(({ colour }) => colour)).toEqual([...Array(3).fill("series-1"), ...Array(3).fill("series-3")]);
  const [low, middle, high] = points.slice(0, 3);
  expect(high!.x - middle!.x).toBeCloseTo(middle!.x - low!.x, 1);
  // Higher is further up, and 0.3 after linear lies where 0.2 would after static.
  expect(low!.y - middle!.y).toBeCloseTo(middle!.y - high!.y, 1);
  expect(points[3]!.y).toBeCloseTo((low!.y + middle!.y) / 2, 1);
  expect(drawn).not.toContain("NaN");
  expect(axisSection({ grid: {}, variants } as unknown as DrawnReport).html).toBe("");
});

test("objectives of another scale have charts of their own, those of about one share theirs", () => {
  const { html } = curveSection([
    variant({ "wrpo.objective": "wrpo" }, 1, [0.7, 0.6]),
    variant({ "wrpo.objective": "dpo" }, 1, [0.7, 0.5]),
    variant({ "wrpo.objective": "ipo" }, 1, [2500, 2000]),
  ]);
  expect(charts(html).map((svg) => svg.match(/<path class="line/g)!.length)).toEqual([2, 1]);
});

test("as many lines in a chart as there are colours", () => {
  const many = Array.from({ length: 10 }, (_, index) => variant({ "wrpo.alpha": index / 10 }, 1, [1, 2]));
  expect(charts(curveSection(many).html).map((svg) => svg.match(/<path class="line/g)!.length)).toEqual([8, 2]);
});

test("final figures: of the last evaluation, else the means of the last tenth of the steps", () => {
  const folder = mkdtempSync(join(tmpdir(), "final-"));
  const file = join(folder, "wrpo.jsonl");
  const steps = Array.from({ length: 20 }, (_, index) => ({
    step: index + 1,
    loss: index,
    "rewards/margins": 2 * index,
  }));
  const write = (rows: readonly object[]) =>
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  write(steps);
  expect(finalFigures(file)).toEqual({
    ...{ steps: 20, measured: "last steps", loss: 18.5, margin: 37 },
    ...{ accuracy: null, sourceAccuracy: null },
  });
  write([{ step: 0, "eval/loss": 9 }, ...steps, { step: 20, "eval/loss": 3, "eval/rewards/accuracies": 0.5 }]);
  expect(finalFigures(file)).toEqual({
    ...{ steps: 20, measured: "held out", loss: 3, accuracy: 0.5 },
    ...{ margin: null, sourceAccuracy: null },
  });
  write([{ step: 1, loss: null }]);
  writeFileSync(file, '{"step": 1, "loss": 2}\n{"step": 2, "lo', { flag: "a" });
  expect(finalFigures(file)).toMatchObject({ steps: 2, loss: 2 });
  expect(finalFigures(join(folder, "none"))).toBeNull();
  rmSync(folder, { recursive: true });
});
