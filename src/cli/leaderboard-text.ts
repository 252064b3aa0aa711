import type { LeaderboardRow } from "../pipeline/index.ts";
import { table } from "./format.ts";

/** What `amalgam leaderboard` prints. */
export function leaderboardText(rows: readonly LeaderboardRow[]): string {
  const shown = (rate: number | null, error: number | null) =>
    rate === null || error === null ? "-" : `${rate.toFixed(2)} ± ${error.toFixed(2)}`;
  const judges = [...new Set(rows.map(({ judge, baseline }) => `${judge}, against ${baseline}`))];
  const several = judges.length > 1;
  return [
    ...table(
      [
        "Model",
        "LC win rate",
        "Win rate",
        "Length",
        "Wins",
        "Losses",
        "Draws",
        "Figures",
        ...(several ? ["Judge"] : []),
      ],
      rows.map((row) => [
        row.model,
        shown(row.length_controlled_winrate, row.lc_standard_error),
        shown(row.win_rate, row.standard_error),
        `${row.avg_length}`,
        `${row.n_wins}`,
        `${row.n_wins_base}`,
        `${row.n_draws}`,
        row.official ? "official" : "not official",
        ...(several ? [`${row.judge}, against ${row.baseline}`] : []),
      ]),
    ),
    "",
    ...(several ? [] : [`Judge: ${judges[0]}. Rates and their standard errors in per cent; lengths in code points.`]),
    ...(several ? ["Rates and their standard errors in per cent; lengths in code points."] : []),
    ...(rows.some(({ length_controlled_winrate: rate }) => rate === null)
      ? ["Length-controlled rates need AlpacaEval's df_gamed.csv: --gamed FILE."]
      : []),
    ...rows.flatMap(({ model, notes }) => notes.map((note) => `${model}: ${note}.`)),
  ].join("\n");
}
