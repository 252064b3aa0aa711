import { type Axis, axis, extent } from "./axis.ts";
import { escapeHtml, type Html } from "./escape.ts";
import { number, shortened } from "./format.ts";
import type { Histogram } from "./histogram.ts";
import type { CurvePoint } from "./training-curves.ts";

/** All figures are as wide as a phone, and stand side by side where there is room. */
const width = 360;
const left = 8;
const right = width - 8;

/** A colour of the page's palette: `baseline`, or `series-1` to `series-8`. */
export type Colour = "baseline" | `series-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8}` | "others";

export interface HistogramRow {
  readonly label: string;
  readonly note: string;
  readonly colour: Colour;
  readonly histogram: Histogram;
  readonly mean: number;
  /** Drawn as an outline behind, to compare with. */
  readonly behind?: Histogram;
}

/** Histograms one below the other on one axis, as shares of their own responses, with a mark at each mean. */
export function histogramRows(title: string, rows: readonly HistogramRow[]): Html {
  const rowHeight = 62;
  const plot = 36;
  const bottom = rows.length * rowHeight;
  const first = rows[0]?.histogram ?? { low: 0, high: 1 };
  const x = axis(first.low, first.high, left, right, 5);
  const highest = Math.max(
    1e-9,
    ...rows.flatMap(({ histogram, behind }) => [peak(histogram), behind ? peak(behind) : 0]),
  );
  const drawn = rows.map(({ label, note, colour, histogram, mean, behind }, index) => {
    const base = (index + 1) * rowHeight - 6;
    const y = axis(0, highest, base, base - plot, 1);
    const bins = binsOf(histogram, x);
    const bars = bins.map(({ from, to, share, said }) => {
      const top = y.at(share);
      return `<rect class="fill ${colour}" x="${p(from + 0.5)}" y="${p(top)}" width="${p(to - from - 1)}" height="${p(base - top)}"><title>${escapeHtml(said)}</title></rect>`;
    });
    const outline = behind === undefined ? "" : `<path class="outline" d="${stepsOf(behind, x, y)}"/>`;
    const at = p(x.at(mean));
    return [
      header(label, note, base - plot - 8),
      ...bars,
      outline,
      `<line class="rule" x1="${left}" x2="${right}" y1="${base}" y2="${base}"/>`,
      `<line class="mean" x1="${at}" x2="${at}" y1="${base - plot}" y2="${base + 4}"/>`,
    ].join("");
  });
  return svg(title, bottom + 22, [...drawn, xTicks(x, bottom + 2)]);
}

export interface BarRow {
  readonly label: string;
  readonly note: string;
  readonly colour: Colour;
  readonly value: number;
  readonly interval: { readonly low: number; readonly high: number };
}

/** A bar from 0 to each value, with its interval as a whisker. */
export function barsWithIntervals(title: string, rows: readonly BarRow[]): Html {
  const rowHeight = 44;
  const bottom = rows.length * rowHeight;
  const [low, high] = extent([0, ...rows.flatMap(({ value, interval }) => [value, interval.low, interval.high])]);
  const x = axis(low, high + (high - low) * 0.02, left + (low < 0 ? 4 : 0), right - 4, 5);
  const zero = p(x.at(0));
  const drawn = rows.map(({ label, note, colour, value, interval }, index) => {
    const top = index * rowHeight + 20;
    const middle = top + 8;
    const [from, to] = [x.at(Math.min(0, value)), x.at(Math.max(0, value))];
    const [start, end] = [p(x.at(interval.low)), p(x.at(interval.high))];
    const cap = (at: string) => `<line class="whisker" x1="${at}" x2="${at}" y1="${middle - 4}" y2="${middle + 4}"/>`;
    return [
      header(label, note, top - 6),
      `<rect class="fill ${colour}" x="${p(from)}" y="${top}" width="${p(to - from)}" height="16" rx="2"/>`,
      `<line class="whisker" x1="${start}" x2="${end}" y1="${middle}" y2="${middle}"/>`,
      cap(start),
      cap(end),
      `<line class="rule" x1="${zero}" x2="${zero}" y1="${top - 2}" y2="${top + 18}"/>`,
    ].join("");
  });
  return svg(title, bottom + 22, [...drawn, xTicks(x, bottom + 2)]);
}

export interface StackedRow {
  readonly label: string;
  readonly note: string;
  readonly segments: readonly { readonly name: string; readonly value: number; readonly colour: Colour }[];
}

/** One full-width bar a row, divided by the segments' shares. */
export function stackedBars(title: string, rows: readonly StackedRow[]): Html {
  const rowHeight = 52;
  const drawn = rows.map(({ label, note, segments }, index) => {
    const top = index * rowHeight + 20;
    const total = segments.reduce((sum, { value }) => sum + value, 0);
    let start = 0;
    const parts = segments.flatMap(({ name, value, colour }) => {
      if (value === 0) return [];
      const x = axis(0, total, left, right);
      const [from, to] = [x.at(start), x.at(start + value)];
      start += value;
      const share = `${Math.round((100 * value) / total)} %`;
      const said = `${name}: ${number(value)} (${share})`;
      const room = to - from > 34;
      const text = `<text class="inside" x="${p((from + to) / 2)}" y="${top + 16}" text-anchor="middle">${share}</text>`;
      return `<g><title>${escapeHtml(said)}</title><rect class="fill ${colour}" x="${p(from + 0.75)}" y="${top}" width="${p(Math.max(0.5, to - from - 1.5))}" height="24" rx="2"/>${room ? text : ""}</g>`;
    });
    return header(label, note, top - 6) + parts.join("");
  });
  return svg(title, rows.length * rowHeight, drawn);
}

export interface Line {
  readonly name: string;
  readonly colour: Colour;
  readonly points: readonly CurvePoint[];
}

export interface LineChartOptions {
  /** What lies along the x axis: steps, which are whole, unless given. */
  readonly x?: string;
  /** Marks every point, where they are few. */
  readonly dots?: boolean;
}

/** Lines over the steps; where a point stands for several steps, a band shows their lowest and highest. */
export function lineChart(
  title: string,
  lines: readonly Line[],
  { x: along, dots = false }: LineChartOptions = {},
): Html {
  const [top, bottom] = [30, 158];
  const points = lines.flatMap((line) => line.points);
  const x = axis(...extent(points.map(({ step }) => step)), left + 44, right - 4, 4);
  const y = axis(
    ...extent(
      points.flatMap(({ low, high }) => [low, high]),
      0.06,
    ),
    bottom,
    top,
    4,
  );
  const grid = y.ticks.map((tick) => {
    const at = p(y.at(tick));
    return `<line class="grid" x1="${left + 44}" x2="${right - 4}" y1="${at}" y2="${at}"/><text class="tick" x="${left + 40}" y="${p(y.at(tick) + 4)}" text-anchor="end">${number(tick)}</text>`;
  });
  const drawn = lines.map(({ colour, points: own, name }) => {
    const at = ({ step }: CurvePoint, value: number) => `${p(x.at(step))} ${p(y.at(value))}`;
    const upper = own.map((point) => at(point, point.high));
    const lower = own.map((point) => at(point, point.low)).reverse();
    const spread = own.some(({ low, high }) => low !== high);
    const band = spread ? `<path class="band ${colour}" d="M${[...upper, ...lower].join("L")}Z"/>` : "";
    const middle = own.map((point) => at(point, point.mean));
    const dot = ({ step, mean }: CurvePoint) =>
      `<circle class="fill ${colour}" cx="${p(x.at(step))}" cy="${p(y.at(mean))}" r="3"/>`;
    const [only] = own;
    if (own.length === 1 && only !== undefined) return `${band}${dot(only)}`;
    const marks = dots ? own.map(dot).join("") : "";
    return `${band}<path class="line ${colour}" d="M${middle.join("L")}"><title>${escapeHtml(name)}</title></path>${marks}`;
  });
  const heading = `<text class="label" x="${left}" y="14">${escapeHtml(shortened(title, 44))}</text>`;
  const whole: Axis = along === undefined ? { ...x, ticks: x.ticks.filter(Number.isInteger) } : x;
  const below = `<text class="tick" x="${left}" y="${bottom + 18}">${escapeHtml(shortened(along ?? "step", 8))}</text>`;
  return svg(title, bottom + 24, [heading, ...grid, ...drawn, below, xTicks(whole, bottom + 4)]);
}

function svg(title: string, height: number, parts: readonly string[]): Html {
  const said = escapeHtml(title);
  return { html: `<svg viewBox="0 0 ${width} ${p(height)}" role="img" aria-label="${said}">${parts.join("")}</svg>` };
}

/** A row's name and, at the other end of the line, its figure. */
function header(label: string, note: string, y: number): string {
  const shown = shortened(label, Math.max(10, 50 - [...note].length));
  return `<text class="label" x="${left}" y="${p(y)}">${escapeHtml(shown)}</text><text class="note" x="${right}" y="${p(y)}" text-anchor="end">${escapeHtml(note)}</text>`;
}

const xTicks = ({ ticks, at }: Axis, y: number): string =>
  ticks
    .map((tick) => {
      const x = at(tick);
      const anchor = x < left + 14 ? "start" : x > right - 14 ? "end" : "middle";
      return `<text class="tick" x="${p(x)}" y="${p(y + 14)}" text-anchor="${anchor}">${number(tick)}</text>`;
    })
    .join("");

function binsOf({ low, high, counts }: Histogram, x: Axis) {
  const total = Math.max(1, sum(counts));
  const size = (high - low) / counts.length;
  return counts.map((count, index) => {
    const [from, to] = [low + index * size, low + (index + 1) * size];
    const said = `${number(from)} to ${number(to)}: ${count} (${((100 * count) / total).toFixed(1)} %)`;
    return { from: x.at(from), to: x.at(to), share: count / total, said };
  });
}

function stepsOf(histogram: Histogram, x: Axis, y: Axis): string {
  const bins = binsOf(histogram, x);
  const tops = bins.map(({ from, to, share }) => `L${p(from)} ${p(y.at(share))}L${p(to)} ${p(y.at(share))}`);
  return `M${p(bins[0]?.from ?? 0)} ${p(y.at(0))}${tops.join("")}L${p(bins.at(-1)?.to ?? 0)} ${p(y.at(0))}`;
}

const peak = ({ counts }: Histogram) => Math.max(...counts) / Math.max(1, sum(counts));
const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

/** A coordinate with two decimals. */
const p = (value: number): string => String(Math.round(value * 100) / 100);
