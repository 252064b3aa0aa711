import type { FoldOrder } from "../../evaluation/index.ts";
import { readAnnotations } from "./annotations.ts";
import { readGamed } from "./gamed.ts";
import { type LeaderboardRow, leaderboardRow } from "./row.ts";

export { codePoints, parsedRow } from "./annotations.ts";
export { readGamed } from "./gamed.ts";
export { type LeaderboardRow, leaderboardCsv, leaderboardRow, officialNames } from "./row.ts";

/**
 * AlpacaEval's leaderboard of the models in some `annotations.json`, the best first: win rates, and with `df_gamed.csv` length-controlled ones.
 *
 * @throws DataError for files that can't be read as such
 */
export async function leaderboard(
  files: readonly string[],
  gamedFile: string | undefined,
  order: FoldOrder = "scalar",
): Promise<LeaderboardRow[]> {
  const gamed = gamedFile === undefined ? undefined : await readGamed(gamedFile);
  return byRank((await readAnnotations(files)).map((annotations) => leaderboardRow(annotations, gamed, order).row));
}

/** The best first: by the length-controlled rate where there is one, else by the plain one. */
export function byRank(rows: readonly LeaderboardRow[]): LeaderboardRow[] {
  const rank = ({ length_controlled_winrate: controlled, win_rate: plain }: LeaderboardRow) => controlled ?? plain;
  return rows.toSorted((a, b) => rank(b) - rank(a) || (a.model < b.model ? -1 : 1));
}
