import { type Gamed, lengthControlled, mean, winRate } from "../../evaluation/index.ts";
import { type Annotations, alpacaInstructions, readAnnotations, readGamed } from "./annotations.ts";

/** A row of AlpacaEval's leaderboard, under the names of its own files; rates and errors are per cent. */
export interface LeaderboardRow {
  readonly model: string;
  readonly baseline: string;
  readonly judge: string;
  /** Whether judge, baseline and number of instructions are those of the published leaderboard of AlpacaEval 2. */
  readonly official: boolean;
  readonly win_rate: number;
  readonly standard_error: number;
  /** null without `df_gamed.csv`. */
  readonly length_controlled_winrate: number | null;
  readonly lc_standard_error: number | null;
  readonly discrete_win_rate: number;
  readonly n_wins: number;
  readonly n_wins_base: number;
  readonly n_draws: number;
  readonly n_total: number;
  /** Comparisons that the judge gave no verdict on. They count nowhere. */
  readonly n_failed: number;
  readonly avg_length: number;
  readonly avg_length_base: number;
  /** What a reader should know of the figures. */
  readonly notes: readonly string[];
}

/** The annotator and the baseline of the published figures. */
const official = { judge: "weighted_alpaca_eval_gpt4_turbo", baseline: "gpt4_1106_preview" };

/**
 * AlpacaEval's leaderboard of the models in some `annotations.json`, the best first: win rates, and with `df_gamed.csv` length-controlled ones.
 *
 * @throws DataError for files that can't be read as such
 */
export async function leaderboard(files: readonly string[], gamedFile: string | undefined): Promise<LeaderboardRow[]> {
  const gamed = gamedFile === undefined ? undefined : await readGamed(gamedFile);
  const rows = (await readAnnotations(files)).map((annotations) => rowOf(annotations, gamed));
  const rank = ({ length_controlled_winrate: controlled, win_rate: plain }: LeaderboardRow) => controlled ?? plain;
  return rows.sort((a, b) => rank(b) - rank(a) || (a.model < b.model ? -1 : 1));
}

function rowOf({ model, baseline, judge, rows }: Annotations, gamed: readonly Gamed[] | undefined): LeaderboardRow {
  const plain = winRate(rows.map(({ preference }) => preference));
  const controlled = gamed === undefined ? undefined : lengthControlled(rows, gamed);
  const failed = rows.length - plain.total;
  const isWhole = rows.length === alpacaInstructions;
  const length = (of: "baselineLength" | "modelLength") => Math.trunc(mean(rows.map((row) => row[of])));
  return {
    model,
    baseline,
    judge,
    official: judge === official.judge && baseline === official.baseline && isWhole,
    win_rate: plain.winRate,
    standard_error: plain.standardError,
    length_controlled_winrate: controlled?.winRate ?? null,
    lc_standard_error: controlled?.standardError ?? null,
    discrete_win_rate: plain.discreteWinRate,
    n_wins: plain.wins,
    n_wins_base: plain.losses,
    n_draws: plain.draws,
    n_total: plain.total,
    n_failed: failed,
    avg_length: length("modelLength"),
    avg_length_base: length("baselineLength"),
    notes: [
      ...(failed > 0 ? [`${failed} comparisons have no verdict and count nowhere`] : []),
      ...(controlled !== undefined && !isWhole
        ? [
            `${rows.length} comparisons of ${alpacaInstructions}: difficulties are taken by place, as alpaca-eval does, and belong to other instructions after the first gap`,
          ]
        : []),
    ],
  };
}
