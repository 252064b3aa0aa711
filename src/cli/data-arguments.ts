import { didYouMean, type RowFormName, rowFormNames } from "../schema/index.ts";
import type { OptionName } from "./command-table.ts";
import { numberOption } from "./number-option.ts";
import { UsageError } from "./usage-error.ts";

/** What `data` is to do. */
export type DataCommand =
  | {
      readonly action: "check";
      readonly split: string | undefined;
      readonly against: readonly string[];
      readonly ngram: number;
      readonly nearDuplicates: number;
      readonly maxCharacters: number;
    }
  | {
      readonly action: "convert";
      readonly to: RowFormName;
      readonly split: string | undefined;
      readonly lossy: boolean;
    };

const belongs = {
  check: ["split", "against", "ngram", "near-duplicates", "max-characters", "json"],
  convert: ["to", "split", "lossy", "json"],
} as const satisfies Readonly<Record<DataCommand["action"], readonly OptionName[]>>;

/** Throws UsageError for what can't be. */
export function dataCommandOf(
  action: string | undefined,
  given: readonly string[],
  against: readonly string[],
  single: (name: OptionName) => string | undefined,
): DataCommand {
  if (action !== "check" && action !== "convert")
    throw new UsageError(
      action === undefined
        ? "say what to do with the data: amalgam data check FILE, or amalgam data convert FILE NEW --to FORM"
        : `data has no command ${action}`,
      `${action === undefined ? "" : didYouMean(action, Object.keys(belongs))}\`amalgam data --help\` says what there is.`,
    );
  const odd = given.find((name) => !(belongs[action] as readonly string[]).includes(name));
  if (odd !== undefined) throw new UsageError(`data ${action} has no option --${odd}`);
  if (action === "convert")
    return { action, to: formOf(single("to")), split: single("split"), lossy: single("lossy") !== undefined };
  const share = (value: number) => value >= 0 && value <= 1;
  return {
    action,
    split: single("split"),
    against,
    ngram: numberOption("ngram", single("ngram"), 13, (value) => Number.isInteger(value) && value > 0),
    nearDuplicates: numberOption("near-duplicates", single("near-duplicates"), 0.8, share),
    maxCharacters: numberOption("max-characters", single("max-characters"), 100_000, (value) => value > 0),
  };
}

function formOf(given: string | undefined): RowFormName {
  const found = rowFormNames.find((name) => name === given);
  if (found !== undefined) return found;
  throw new UsageError(
    given === undefined ? "--to is missing: the form of the new file" : `--to ${given}: there is no such form`,
    `${given === undefined ? "" : didYouMean(given, rowFormNames)}The forms are ${rowFormNames.join(", ")}.`,
  );
}
