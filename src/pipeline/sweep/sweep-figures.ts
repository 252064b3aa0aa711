import { figure, figures, legend, notYet, section } from "../report/elements.ts";
import { type Html, html } from "../report/escape.ts";
import { type Colour, type Line, lineChart } from "../report/figures.ts";
import type { CurvePoint } from "../report/training-curves.ts";
import { type DrawnResult, fusedOf } from "./results.ts";
import type { DrawnReport } from "./write.ts";

const palette: readonly Colour[] = [1, 3, 2, 4, 5, 6, 7, 8].map((number) => `series-${number}` as Colour);

/** What is drawn over the steps: on the rows held out where there are some, else as trained on. */
const metrics = [
  {
    name: "rewards/accuracies",
    title: "reward accuracy",
    caption: "Rows whose preferred response has the higher reward",
  },
  {
    name: "rewards/source_accuracies",
    title: "hybrid accuracy",
    caption: "Rows whose y_ws has a higher reward than y_l",
  },
  {
    name: "rewards/pivot_accuracies",
    title: "on-policy accuracy",
    caption: "Rows whose y_wt has a higher reward than y_l",
  },
  {
    name: "rewards/margins",
    title: "reward margin",
    caption: "Internal rewards: preferred less dispreferred",
    scaled: true,
  },
  { name: "loss", title: "loss", caption: "Loss", scaled: true },
] as const satisfies readonly CurveMetric[];

interface CurveMetric {
  readonly name: string;
  readonly title: string;
  readonly caption: string;
  /** Whether each objective has a scale of its own, so that one axis may not do for all. */
  readonly scaled?: boolean;
}

/** Curves of the variants' preference training (figures 3 and 5 of the paper), few enough in one chart to be told apart. */
export function curveSection(variants: readonly DrawnResult[]): Html {
  const title = "Training curves";
  const trained = variants.filter(({ curves }) => curves !== null);
  if (trained.length === 0) return section(title, notYet("no variant was trained"));
  return section(title, ...groupsOf(trained).map(groupCurves));
}

interface Group {
  readonly title: string;
  readonly variants: readonly DrawnResult[];
}

/** Variants by name together, those of a grid by all of their place but what changes most often; at most as many as colours. */
function groupsOf(variants: readonly DrawnResult[]): Group[] {
  const main = mainField(variants);
  const groups = new Map<string, DrawnResult[]>();
  for (const variant of variants) {
    const others = Object.entries(variant.point ?? {}).filter(([field]) => field !== main);
    const title = others.map(([field, value]) => `${field} ${value}`).join(", ");
    groups.set(title, [...(groups.get(title) ?? []), variant]);
  }
  return [...groups].flatMap(([title, members]) =>
    Array.from({ length: Math.ceil(members.length / palette.length) }, (_, part) => ({
      title,
      variants: members.slice(part * palette.length, (part + 1) * palette.length),
    })),
  );
}

function mainField(variants: readonly DrawnResult[]): string | undefined {
  const values = new Map<string, Set<unknown>>();
  for (const { point } of variants)
    for (const [field, value] of Object.entries(point ?? {}))
      values.set(field, (values.get(field) ?? new Set()).add(value));
  return [...values].sort(([, a], [, b]) => b.size - a.size)[0]?.[0];
}

function groupCurves({ title, variants }: Group): Html {
  const drawn = (metrics as readonly CurveMetric[]).flatMap(({ name, title: said, caption, scaled }) =>
    (["", "eval/"] as const).flatMap((prefix) => {
      const lines = variants.flatMap(({ name: variant, objective, curves }, index): VariantLine[] => {
        const curve = curves?.curves.find((one) => one.name === `${prefix}${name}`);
        if (curve === undefined || (prefix === "eval/" && curve.points.length < 2)) return [];
        return [{ name: variant, objective, colour: palette[index]!, points: curve.points }];
      });
      const where = prefix === "" ? "trained on" : "held out";
      const charts = scaled ? byScale(lines) : [lines];
      return charts
        .filter((some) => some.length > 0)
        .map((some) => {
          const which = charts.length > 1 ? ` (${some.map((line) => line.name).join(", ")})` : "";
          return figure(lineChart(`${said}, ${where}`, some), `${caption}; rows ${where}${which}.`);
        });
    }),
  );
  const heading = title === "" ? html`` : html`<h3>${title}</h3>\n`;
  const names = variants.map(({ name }, index) => ({ name, colour: palette[index]! }));
  return html`${heading}${legend(names)}${figures(drawn)}`;
}

interface VariantLine extends Line {
  readonly objective: string;
}

/** Objectives whose values are less than this far from one another share an axis. */
const oneScale = 5;

/** Lines that one axis shows: those of one objective, and of others of about its size. */
function byScale(lines: readonly VariantLine[]): VariantLine[][] {
  const sizeOf = (some: readonly VariantLine[]) =>
    Math.max(...some.flatMap(({ points }) => points.map(({ mean }) => Math.abs(mean))));
  const charts: VariantLine[][] = [];
  for (const objective of new Set(lines.map((line) => line.objective))) {
    const own = lines.filter((line) => line.objective === objective);
    const near = charts.find((chart) => {
      const ratio = sizeOf(own) / sizeOf(chart);
      return ratio <= oneScale && ratio >= 1 / oneScale;
    });
    if (near === undefined) charts.push(own);
    else near.push(...own);
  }
  return charts;
}

/** For each numeric field of a grid: rewards and accuracies against its values (figures 5 and 6 of the paper). */
export function axisSection({ grid, variants }: DrawnReport): Html {
  const fields = Object.entries(grid)
    .filter(([, values]) => values.length > 1 && values.every((value) => typeof value === "number"))
    .map(([field]) => field);
  const sections = fields.map((field) => axisFigures(field, variants)).filter((drawn) => drawn !== undefined);
  return sections.length === 0 ? html`` : section("Against each value", ...sections);
}

const measures = [
  {
    title: "mean reward, held-out prompts",
    of: (variant: DrawnResult) => fusedOf(variant)?.reward.mean,
    spread: (variant: DrawnResult) => fusedOf(variant)?.reward.interval,
  },
  {
    title: "win rate against the untuned target",
    of: (variant: DrawnResult) => fusedOf(variant)?.comparison?.winRate,
    spread: (variant: DrawnResult) => fusedOf(variant)?.comparison?.winRateInterval,
  },
  {
    title: "hybrid accuracy: y_ws above y_l",
    of: ({ training }: DrawnResult) => training?.sourceAccuracy ?? undefined,
  },
  { title: "reward accuracy", of: ({ training }: DrawnResult) => training?.accuracy ?? undefined },
  { title: "reward margin", of: ({ training }: DrawnResult) => training?.margin ?? undefined },
] as const satisfies readonly Measure[];

interface Measure {
  readonly title: string;
  readonly of: (variant: DrawnResult) => number | undefined;
  readonly spread?: (variant: DrawnResult) => { readonly low: number; readonly high: number } | undefined;
}

function axisFigures(field: string, variants: readonly DrawnResult[]): Html | undefined {
  // Variants by name that set the field are points as well: a line is of those that are alike in all else.
  const placed = variants.filter(({ settings }) => typeof settings[field] === "number");
  const seriesOf = ({ settings }: DrawnResult) =>
    Object.entries(settings)
      .filter(([other]) => other !== field)
      .map(([other, value]) => `${other} ${String(value)}`)
      .join(", ") || field;
  const series = [...new Set(placed.map(seriesOf))].slice(0, palette.length);
  const drawn = (measures as readonly Measure[]).flatMap(({ title, of, spread }) => {
    const lines = series.flatMap((name, index): Line[] => {
      const points = placed
        .filter((variant) => seriesOf(variant) === name)
        .flatMap((variant): CurvePoint[] => {
          const mean = of(variant);
          if (mean === undefined) return [];
          const around = spread?.(variant) ?? { low: mean, high: mean };
          return [{ step: variant.settings[field] as number, mean, low: around.low, high: around.high }];
        })
        .sort((a, b) => a.step - b.step);
      return points.length === 0 ? [] : [{ name, colour: palette[index]!, points }];
    });
    if (lines.length === 0) return [];
    const band = spread === undefined ? "" : " Bands: 95 % intervals over prompts.";
    const chart = lineChart(title, lines, { x: field.split(".").at(-1)!, dots: true });
    return [figure(chart, `${title[0]!.toUpperCase()}${title.slice(1)} against ${field}.${band}`)];
  });
  if (drawn.length === 0) return undefined;
  const names = series.map((name, index) => ({ name, colour: palette[index]! }));
  return html`<h3>${field}</h3>\n${legend(names)}${figures(drawn)}`;
}
