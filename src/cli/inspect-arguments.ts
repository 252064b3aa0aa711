import type { InspectOptions } from "../pipeline/index.ts";
import { type Flag, flagWords } from "../schema/index.ts";
import type { OptionName } from "./command-table.ts";
import { numberOption } from "./number-option.ts";
import { UsageError } from "./usage-error.ts";

/** What `inspect` shows. */
export interface Inspecting extends Pick<InspectOptions, "filter" | "sample" | "limit"> {
  /** Of a data set's folder: its split. */
  readonly split: string | undefined;
  /** The page to write; undefined for the terminal. */
  readonly page: string | undefined;
}

/** Throws UsageError for what can't be. */
export function inspectingOf(
  all: (name: OptionName) => readonly string[],
  single: (name: OptionName) => string | undefined,
): Inspecting {
  const gap = (name: "min-gap" | "max-gap") => {
    const text = single(name);
    return text === undefined ? undefined : numberOption(name, text, 0, () => true);
  };
  const whole = (value: number) => Number.isInteger(value) && value > 0;
  const size = single("sample");
  const most = single("most");
  const seed = numberOption("seed", single("seed"), 0, Number.isInteger);
  if (size === undefined && single("seed") !== undefined) throw new UsageError("--seed belongs to --sample N");
  return {
    filter: {
      ids: all("id"),
      source: single("source"),
      domain: single("domain"),
      flag: flagOf(single("flag")),
      search: single("search"),
      minGap: gap("min-gap"),
      maxGap: gap("max-gap"),
    },
    sample: size === undefined ? undefined : { size: numberOption("sample", size, 1, whole), seed },
    limit: most === undefined ? undefined : numberOption("most", most, 1, whole),
    split: single("split"),
    page: single("html"),
  };
}

function flagOf(given: string | undefined): Flag | undefined {
  if (given === undefined) return undefined;
  if (Object.hasOwn(flagWords, given)) return given as Flag;
  throw new UsageError(`--flag ${given}: there is no such flag`, `They are ${Object.keys(flagWords).join(", ")}.`);
}
