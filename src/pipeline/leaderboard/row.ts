import { type Compared, type FoldOrder, type Gamed, lengthControlled, mean, winRate } from "../../evaluation/index.ts";
import { DataError } from "../../schema/index.ts";
import type { Annotations } from "./annotations.ts";
import { alpacaInstructions } from "./gamed.ts";

/** A row of AlpacaEval's leaderboard, under the names of its own files; rates and errors are per cent. */
export interface LeaderboardRow {
  readonly model: string;
  readonly baseline: string;
  readonly judge: string;
  /** Whether judge, baseline and number of instructions are those of the published leaderboard of AlpacaEval 2. */
  readonly official: boolean;
  readonly win_rate: number;
  readonly standard_error: number;
  /** null without `df_gamed.csv`, and where lengths can't be controlled. */
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
export const officialNames = { judge: "weighted_alpaca_eval_gpt4_turbo", baseline: "gpt4_1106_preview" };

/** A row with what the model would win at equal length, of each comparison, 0..1, where that was asked for and can be said. */
export interface ControlledRow {
  readonly row: LeaderboardRow;
  readonly atEqualLength?: readonly number[];
}

/**
 * The figures of one model as alpaca-eval has them. Where all outputs differ by the same length from the baseline's there is no
 * length-controlled rate, but for the baseline against itself, which has one half.
 *
 * @throws DataError where no comparison has a verdict
 */
export function leaderboardRow(
  { model, baseline, judge, rows }: Omit<Annotations, "files">,
  gamed: readonly Gamed[] | undefined,
  order: FoldOrder = "scalar",
): ControlledRow {
  const plain = winRate(rows.map(({ preference }) => preference));
  const controlled = gamed === undefined ? undefined : control(rows, model === baseline ? undefined : gamed, order);
  const found = controlled !== undefined && "rate" in controlled ? controlled : undefined;
  const failed = rows.length - plain.total;
  const isWhole = rows.length === alpacaInstructions;
  const length = (of: "baselineLength" | "modelLength") => Math.trunc(mean(rows.map((row) => row[of])));
  const row: LeaderboardRow = {
    model,
    baseline,
    judge,
    official: judge === officialNames.judge && baseline === officialNames.baseline && isWhole,
    win_rate: plain.winRate,
    standard_error: plain.standardError,
    length_controlled_winrate: found?.rate ?? null,
    lc_standard_error: found?.error ?? null,
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
      ...(controlled !== undefined && "why" in controlled ? [`no length-controlled rate: ${controlled.why}`] : []),
      ...(found !== undefined && !isWhole
        ? [
            `${rows.length} comparisons of ${alpacaInstructions}: difficulties are taken by place, as alpaca-eval does, and belong to other instructions after the first gap`,
          ]
        : []),
    ],
  };
  return { row, ...(found === undefined ? {} : { atEqualLength: found.shares }) };
}

type Controlled =
  | { readonly rate: number; readonly error: number; readonly shares: readonly number[] }
  | { readonly why: string };

/** Without gamed rows: of the baseline against itself. */
function control(rows: readonly Compared[], gamed: readonly Gamed[] | undefined, order: FoldOrder): Controlled {
  if (gamed === undefined) return { rate: 50, error: 0, shares: rows.map(() => 0.5) };
  try {
    const { winRate: rate, standardError: error, preferences: shares } = lengthControlled(rows, gamed, order);
    return { rate, error, shares };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { why: error.message };
  }
}

/** A `leaderboard.csv` as alpaca-eval writes and reads it, in the order of the rows. */
export function leaderboardCsv(rows: readonly LeaderboardRow[]): string {
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => {
    const cells = csvColumns.map((column) => (column === "mode" ? "community" : (row[column] ?? "")));
    return [quoted(row.model), ...cells].join(",");
  });
  return `${["", ...csvColumns].join(",")}\n${lines.map((line) => `${line}\n`).join("")}`;
}

const csvColumns = [
  "win_rate",
  "standard_error",
  "n_wins",
  "n_wins_base",
  "n_draws",
  "n_total",
  "discrete_win_rate",
  "mode",
  "avg_length",
  "length_controlled_winrate",
  "lc_standard_error",
] as const;
