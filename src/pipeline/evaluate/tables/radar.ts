import { axis } from "../../report/axis.ts";
import { escapeHtml, type Html } from "../../report/escape.ts";
import type { Colour } from "../../report/figures.ts";
import { number, shortened } from "../../report/format.ts";

/** Models of a radar are told apart by colour, and by dashes for who sees none. */
export interface Look {
  readonly colour: Colour;
  readonly dashes: string;
}

const dashes = ["", "7 3", "2 3", "9 3 2 3", "5 2 2 2 2 2", "12 4", "1 4", "4 6"] as const;
const colours = [
  "series-1",
  "series-3",
  "series-2",
  "series-5",
  "series-4",
  "series-6",
  "series-7",
  "series-8",
] as const;

/** So many models can be told apart in one figure. */
export const mostLooks = colours.length;

export const lookOf = (index: number): Look => ({ colour: colours[index]!, dashes: dashes[index]! });

export interface RadarLine {
  readonly name: string;
  readonly look: Look;
  /** By category; null where there is no figure. */
  readonly values: readonly (number | null)[];
}

const width = 480;
const height = 340;
const centre = { x: width / 2, y: height / 2 } as const;
const radius = 124;

/** One axis for each category around a centre of 0, and a closed line for each model. Values are not below 0. */
export function radar(title: string, categories: readonly string[], lines: readonly RadarLine[]): Html {
  const highest = Math.max(1e-9, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  // The outermost ring is the first round value that nothing is beyond.
  const [, step = highest] = axis(0, highest, 0, radius, 5).ticks;
  const scale = axis(0, Math.ceil(highest / step - 1e-9) * step, 0, radius, 5);
  const rings = scale.ticks.filter((tick) => tick > 0);
  const at = (category: number, distance: number) => {
    const angle = (2 * Math.PI * category) / categories.length - Math.PI / 2;
    return [centre.x + distance * Math.cos(angle), centre.y + distance * Math.sin(angle)] as const;
  };
  const around = (distance: number) => `M${categories.map((_, place) => point(at(place, distance))).join("L")}Z`;
  const web = [
    ...rings.map((tick) => `<path class="grid" fill="none" d="${around(scale.at(tick))}"/>`),
    ...categories.map((_, place) => {
      const [x, y] = at(place, radius);
      return `<line class="grid" x1="${centre.x}" y1="${centre.y}" x2="${p(x)}" y2="${p(y)}"/>`;
    }),
  ];
  const marks = rings.map(
    (tick) => `<text class="tick" x="${centre.x + 3}" y="${p(centre.y - scale.at(tick) + 11)}">${number(tick)}</text>`,
  );
  const names = categories.map((name, place) => {
    const [x, y] = at(place, radius + 14);
    const anchor = Math.abs(x - centre.x) < 8 ? "middle" : x > centre.x ? "start" : "end";
    return `<text x="${p(x)}" y="${p(y + 4)}" text-anchor="${anchor}"><title>${escapeHtml(name)}</title>${escapeHtml(shortened(name, 14))}</text>`;
  });
  const drawn = lines.map(({ name, look, values }) => {
    const points = values.map((value, place) => (value === null ? null : at(place, scale.at(value))));
    const said = categories
      .map((category, place) => `${category} ${values[place]?.toFixed(2) ?? "no figure"}`)
      .join(", ");
    const dots = points
      .flatMap((of) => (of === null ? [] : [`<circle class="fill" cx="${p(of[0])}" cy="${p(of[1])}" r="2.6"/>`]))
      .join("");
    return `<g class="${look.colour}"><title>${escapeHtml(`${name}: ${said}`)}</title><path class="line"${dashAttribute(look)} d="${pathOf(points)}"/>${dots}</g>`;
  });
  return {
    html: `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">${[...web, ...drawn, ...marks, ...names].join("")}</svg>`,
  };
}

/** Closed; a line stops where a figure is missing, and goes on behind it. */
function pathOf(points: readonly (readonly [number, number] | null)[]): string {
  if (points.every((of) => of !== null)) return `M${points.map((of) => point(of!)).join("L")}Z`;
  return points
    .map((from, place) => [from, points[(place + 1) % points.length]!] as const)
    .flatMap(([from, to]) => (from === null || to === null ? [] : [`M${point(from)}L${point(to)}`]))
    .join("");
}

/** The models' names, each behind a piece of its line. */
export function lookLegend(lines: readonly { readonly name: string; readonly look: Look }[]): Html {
  const entry = ({ name, look }: { readonly name: string; readonly look: Look }) =>
    `<li class="${look.colour}"><svg width="34" height="10" aria-hidden="true"><path class="line"${dashAttribute(look)} d="M1 5L33 5"/></svg> <span>${escapeHtml(name)}</span></li>`;
  return { html: `<ul class="legend">${lines.map(entry).join("")}</ul>\n` };
}

const dashAttribute = ({ dashes: pattern }: Look): string => (pattern === "" ? "" : ` stroke-dasharray="${pattern}"`);

const point = ([x, y]: readonly [number, number]): string => `${p(x)} ${p(y)}`;

/** A coordinate with two decimals. */
const p = (value: number): string => String(Math.round(value * 100) / 100);
