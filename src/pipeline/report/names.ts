import type { Colour } from "./figures.ts";
import { untuned } from "./samples.ts";

const names: Readonly<Record<string, string>> = {
  [untuned]: "untuned target",
  sft: "after SFT",
  wrpo: "after WRPO (fused)",
};

/** A model of the evaluation in words. */
export const modelName = (label: string): string => (Object.hasOwn(names, label) ? names[label]! : label);

/** Each model of the evaluation keeps its colour throughout the page; the baseline is grey. */
export function modelColour(label: string, labels: readonly string[], baseline: string): Colour {
  if (label === baseline) return "baseline";
  const others = labels.filter((other) => other !== baseline);
  // The last one is what the page is about: it has the first colour.
  return modelPalette[others.length - 1 - others.indexOf(label)] ?? "others";
}

/** Sources begin with other colours than models, so that the two are not taken for each other. */
const sourcePalette: readonly Colour[] = [
  "series-3",
  "series-2",
  "series-4",
  "series-5",
  "series-7",
  "series-8",
  "series-6",
  "series-1",
];
const modelPalette: readonly Colour[] = ["series-1", "series-6", "series-4", "series-5"];

/** Each source keeps its colour throughout the page; beyond the palette they are grey, and told apart by the tables. */
export const sourceColour = (source: string, sources: readonly string[]): Colour =>
  sourcePalette[sources.indexOf(source)] ?? "others";
