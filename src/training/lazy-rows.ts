import { DataError } from "../schema/index.ts";
import { bundleTokens } from "../scoring/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { PlacedRow, RowFile } from "./row-file.ts";
import { type LengthLimits, type TrainingRow, tokeniseRows, tooLong } from "./rows.ts";

/** Why rows were left out: how many, and where the first of them stand. */
export interface LeftOutRows {
  readonly reason: string;
  readonly rows: number;
  readonly first: readonly string[];
}

/**
 * What is known of every row: 0 not looked at, 1 fits, 2 lost the beginning of its prompt, 3 the ends of responses, 4 both,
 * 5 and more left out.
 */
export interface KnownRows {
  readonly verdicts: readonly number[];
  readonly reasons: readonly string[];
}

/** Rows whose tokens are made when they are asked for: memory holds those of the last rows only. */
export interface LazyRows {
  readonly count: number;
  /** The row's tokens; undefined for a row that was left out. @throws DataError where a setting says so */
  at(index: number): TrainingRow | undefined;
  /** Whether there is anything to learn from the row. @throws DataError where a setting says so */
  fits(index: number): boolean;
  /** Of the rows that were looked at. */
  counts(): {
    readonly looked: number;
    /** Rows whose prompt lost its beginning, and rows whose responses lost their ends. */
    readonly shortened: number;
    readonly cut: number;
    readonly leftOut: readonly LeftOutRows[];
  };
  known(): KnownRows;
}

export interface LazyRowsOptions {
  readonly tokenizer: Tokenizer;
  readonly limits: LengthLimits;
  /** What becomes of rows that the chat template refuses. */
  readonly unusable: "drop" | "error";
  /** Of the rows that were asked for last, how many tokens are kept. */
  readonly keepTokens: number;
  /** What an earlier process found out about the same rows. */
  readonly known?: KnownRows;
}

const [unknown, fits, shortened, cut, both, firstReason] = [0, 1, 2, 3, 4, 5] as const;
const mostReasons = 100;
const placesShown = 5;

/** Tokenises the rows of a file one by one, as `tokeniseRows` does, each when it is asked for. */
export function lazyRows(file: RowFile, options: LazyRowsOptions): LazyRows {
  const { tokenizer, limits, unusable, keepTokens } = options;
  const verdicts = Uint8Array.from(options.known?.verdicts ?? new Uint8Array(file.count));
  const reasons = [...(options.known?.reasons ?? [])];
  const kept = new Map<number, TrainingRow>();
  let keptTokens = 0;

  function reasonNumber(reason: string): number {
    const at = reasons.indexOf(reason);
    if (at >= 0) return at;
    // A template may have a reason of its own for every row.
    if (reasons.length < mostReasons) return reasons.push(reason) - 1;
    return reasons.length === mostReasons ? reasons.push("other reasons of the chat template") - 1 : mostReasons;
  }

  function leaveOut(index: number, reason: string): undefined {
    verdicts[index] = firstReason + reasonNumber(reason);
    return undefined;
  }

  function tokens(index: number): TrainingRow | undefined {
    const text = file.read(index);
    const found = tokenised(text, tokenizer, limits);
    if (typeof found === "string") {
      if (unusable === "error") throw refused(text, found);
      return leaveOut(index, found);
    }
    if (found === undefined) {
      if (limits.overlong === "error") throw rowTooLong(text, tokenizer, limits);
      const { max_length, max_prompt_length } = limits;
      return leaveOut(index, `longer than max_length (${max_length}) or max_prompt_length (${max_prompt_length})`);
    }
    verdicts[index] = found.shortened ? (found.cut ? both : shortened) : found.cut ? cut : fits;
    return found.row;
  }

  function keep(index: number, row: TrainingRow): void {
    if (kept.delete(index)) keptTokens -= bundleTokens(row);
    kept.set(index, row);
    keptTokens += bundleTokens(row);
    for (const [oldest, other] of kept) {
      if (keptTokens <= keepTokens || oldest === index) break;
      kept.delete(oldest);
      keptTokens -= bundleTokens(other);
    }
  }

  function at(index: number): TrainingRow | undefined {
    if (verdicts[index]! >= firstReason) return undefined;
    const row = kept.get(index) ?? tokens(index);
    if (row === undefined) return undefined;
    keep(index, row);
    return row;
  }

  return {
    count: file.count,
    at,
    fits: (index) => (verdicts[index] === unknown ? at(index) !== undefined : verdicts[index]! < firstReason),
    counts() {
      const places = reasons.map((): string[] => []);
      const numbers = reasons.map(() => 0);
      for (const [index, verdict] of verdicts.entries()) {
        if (verdict < firstReason) continue;
        const reason = verdict - firstReason;
        numbers[reason]! += 1;
        if (places[reason]!.length < placesShown) places[reason]!.push(placeOf(file.read(index)));
      }
      return {
        looked: verdicts.reduce((sum, verdict) => sum + (verdict === unknown ? 0 : 1), 0),
        shortened: verdicts.filter((verdict) => verdict === shortened || verdict === both).length,
        cut: verdicts.filter((verdict) => verdict === cut || verdict === both).length,
        leftOut: reasons.map((reason, at) => ({ reason, rows: numbers[at]!, first: places[at]! })),
      };
    },
    known: () => ({ verdicts: [...verdicts], reasons: [...reasons] }),
  };
}

const placeOf = ({ file, line }: PlacedRow) => `${file}:${line}`;

/** The row's tokens; why nothing can be learnt from it; undefined where it is too long. */
function tokenised(
  text: PlacedRow,
  tokenizer: Tokenizer,
  limits: LengthLimits,
): { readonly row: TrainingRow; readonly shortened: boolean; readonly cut: boolean } | string | undefined {
  const { overlong } = limits;
  const found = tokeniseRows([text], tokenizer, { ...limits, overlong: overlong === "error" ? "drop" : overlong });
  const [row] = found.rows;
  if (row === undefined) return found.refused[0]?.reason;
  if (row.prompt.length === 0) return "the chat template makes no token of the prompt";
  if (row.responses.some((response) => response.length === 1)) return "a response is nothing but its end";
  return { row, shortened: found.shortened.length > 0, cut: found.cut.length > 0 };
}

const refused = ({ file, line }: PlacedRow, reason: string) =>
  new DataError(reason, { file, line, hint: "Mend or remove the row; `unusable: drop` leaves such rows out." });

function rowTooLong(row: PlacedRow, tokenizer: Tokenizer, limits: LengthLimits): DataError {
  const { file, line, messages, tools, responses } = row;
  const prompt = tokenizer.encodePrompt(messages, tools === undefined ? {} : { variables: { tools } }).length;
  const longest = Math.max(...responses.map((text) => tokenizer.encodeResponse(text).length));
  return tooLong("the prompt", { prompt, longest }, limits, { file, line });
}
