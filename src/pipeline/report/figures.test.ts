import { describe, expect, test } from "vitest";
import { axis, extent } from "./axis.ts";
import { barsWithIntervals, histogramRows, lineChart, stackedBars } from "./figures.ts";
import { duration, number, signed } from "./format.ts";
import { histogram, rangeOf } from "./histogram.ts";

/** The rectangles of a figure, in the order drawn. */
function rectangles(svg: string): { x: number; width: number; y: number; height: number }[] {
  const value = (tag: string, name: string) => Number(new RegExp(`\\b${name}="([^"]+)"`).exec(tag)?.[1]);
  return [...svg.matchAll(/<rect [^>]*>/g)].map(([tag]) => ({
    x: value(tag, "x"),
    width: value(tag, "width"),
    y: value(tag, "y"),
    height: value(tag, "height"),
  }));
}

describe("histogram", () => {
  test("every value is in one bin, edges in the upper one and the last edge in the last", () => {
    const range = { low: 0, high: 1 };
    expect(histogram([0, 0.05, 0.0499, 0.3, 0.95, 1, 1], range).counts).toEqual(
      Object.assign(new Array(20).fill(0), { 0: 2, 1: 1, 6: 1, 19: 3 }),
    );
  });

  test("shares have the range 0 to 1; other rewards their own; equal ones a range around them", () => {
    expect(rangeOf([[0.2, 0.4], [0.9]])).toEqual({ low: 0, high: 1 });
    expect(rangeOf([[-2], [3]])).toEqual({ low: -2, high: 3 });
    expect(rangeOf([[7, 7]])).toEqual({ low: 6.5, high: 7.5 });
    expect(rangeOf([[], []])).toBeUndefined();
  });
});

describe("axis", () => {
  test("ticks are round and inside the values", () => {
    expect(axis(0, 1, 0, 100, 5).ticks.map((tick) => Number(tick.toFixed(6)))).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(axis(-0.13, 0.21, 0, 100, 4).ticks.map((tick) => Number(tick.toFixed(6)))).toEqual([-0.1, 0, 0.1, 0.2]);
    expect(axis(0, 1, 10, 110).at(0.5)).toBe(60);
  });

  test("a range of one value, or of none, has a size", () => {
    expect(extent([3, 3])).toEqual([1.5, 4.5]);
    expect(extent([0])).toEqual([-0.5, 0.5]);
    expect(extent([])).toEqual([0, 1]);
    expect(extent([1, 3], 0.1)).toEqual([0.8, 3.2]);
  });
});

describe("figures", () => {
  test("a histogram's bars are as high as their shares", () => {
    const shown = { low: 0, high: 1, counts: [1, 3, 0, 4] };
    const row = { label: "a", note: "", colour: "baseline" as const, histogram: shown, mean: 0.5 };
    const heights = rectangles(histogramRows("t", [row]).html).map(({ height }) => height);
    expect(heights.map((height) => height / heights[3]!)).toEqual([0.25, 0.75, 0, 1]);
  });

  test("a bar begins at 0, also to the left of it", () => {
    const row = (value: number) => {
      return {
        label: "a",
        note: "",
        colour: "baseline" as const,
        value,
        interval: { low: value - 1, high: value + 1 },
      };
    };
    const [up, down] = rectangles(barsWithIntervals("t", [row(2), row(-1)]).html);
    expect(down!.x + down!.width).toBeCloseTo(up!.x, 1);
    expect(up!.width / down!.width).toBeCloseTo(2, 1);
  });

  test("stacked segments fill the bar in the ratio of their values; one of 0 is not drawn", () => {
    const segments = [3, 0, 1].map((value, index) => ({ name: `s${index}`, value, colour: "series-1" as const }));
    const { html } = stackedBars("t", [{ label: "a", note: "", segments }]);
    const [first, second, ...rest] = rectangles(html);
    expect(rest).toEqual([]);
    // 0.75 on each side is the gap between segments.
    expect((first!.width + 1.5) / (second!.width + 1.5)).toBeCloseTo(3, 6);
    expect(html).toContain("<title>s0: 3 (75 %)</title>");
  });

  test("nothing that is not a number is ever drawn, however poor the data", () => {
    const point = (step: number, mean: number) => ({ step, mean, low: mean, high: mean });
    const flat = { low: 0, high: 1, counts: [0, 0] };
    for (const { html } of [
      lineChart("t", [{ name: "loss", colour: "series-1", points: [point(1, 0)] }]),
      lineChart("t", [{ name: "loss", colour: "series-1", points: [point(1, 5), point(2, 5)] }]),
      lineChart("t", []),
      stackedBars("t", [{ label: "a", note: "", segments: [{ name: "s", value: 0, colour: "others" }] }]),
      histogramRows("t", [{ label: "a", note: "", colour: "baseline", histogram: flat, mean: 0 }]),
      histogramRows("t", []),
      barsWithIntervals("t", [{ label: "a", note: "", colour: "baseline", value: 0, interval: { low: 0, high: 0 } }]),
    ]) {
      expect(html).not.toMatch(/NaN|Infinity|undefined/);
      expect(html).not.toMatch(/(width|height)="-/);
    }
  });

  test("names are escaped", () => {
    const { html } = stackedBars('"><script>', [
      { label: "<b>", note: "<i>", segments: [{ name: "<u>", value: 1, colour: "others" }] },
    ]);
    expect(html).not.toMatch(/<(script|b|i|u)>/);
  });
});

test("figures for people", () => {
  expect([0, 0.4125, 12.34, 100, 1234.5, 7e-6, -0.5].map(number)).toEqual([
    "0",
    "0.412",
    "12.3",
    "100",
    "1,235",
    "7.0e-6",
    "-0.5",
  ]);
  expect([0.1, -0.1, 0].map(signed)).toEqual(["+0.100", "-0.100", "+0.000"]);
  expect([0.44, 12.4, 200, 3599.7, 7500].map(duration)).toEqual([
    "0.4 s",
    "12 s",
    "3 min 20 s",
    "1 h 00 min",
    "2 h 05 min",
  ]);
});
