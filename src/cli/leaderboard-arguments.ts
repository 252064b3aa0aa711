import type { OptionName } from "./command-table.ts";
import { UsageError } from "./usage-error.ts";

const foldOrders = ["scalar", "avx512"] as const;

/** Of `leaderboard`. */
export interface LeaderboardArguments {
  /** Files of judgements. */
  readonly files: readonly string[];
  /** AlpacaEval's rows that lengths are controlled by. */
  readonly gamed: string | undefined;
  readonly foldOrder: (typeof foldOrders)[number];
}

/** Takes the files out of `positionals`. */
export function leaderboardOf(
  positionals: string[],
  single: (name: OptionName) => string | undefined,
): LeaderboardArguments {
  const given = single("fold-order") ?? "scalar";
  const foldOrder = foldOrders.find((order) => order === given);
  if (foldOrder === undefined) throw new UsageError(`--fold-order ${given}: it is ${foldOrders.join(" or ")}`);
  return { files: positionals.splice(0), gamed: single("gamed"), foldOrder };
}
