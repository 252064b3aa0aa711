import { bundleTokens } from "../scoring/index.ts";
import type { LazyRows } from "./lazy-rows.ts";
import type { LazySequence } from "./lazy-task.ts";
import { packed } from "./packing.ts";
import type { RowFile } from "./row-file.ts";

/** Rows that are tokenised to learn how many tokens a byte of a row is. */
const sampled = 256;

/**
 * Packs rows of a file, in the order of `indices`, into sequences of about `maxLength` tokens. How many tokens a row has is
 * estimated from its bytes on the disk, by the least squares over a sample of these rows: to know it would take the time to
 * tokenise all before the first step. A sequence may so come out somewhat longer or shorter; no row is cut, and none sees
 * another, whatever the sequence.
 */
export function packRows(file: RowFile, rows: LazyRows, indices: readonly number[], maxLength: number): LazySequence[] {
  const stride = Math.max(1, Math.floor(indices.length / sampled));
  const points = indices
    .filter((_, place) => place % stride === 0)
    .flatMap((index) => {
      const row = rows.at(index);
      return row === undefined ? [] : [{ bytes: file.bytesOf(index), tokens: bundleTokens(row) }];
    });
  const tokensOf = fitted(points);
  const sizes = indices.map((index) => Math.min(maxLength, Math.max(1, Math.round(tokensOf(file.bytesOf(index))))));
  return packed(sizes, maxLength).map((sequence) => sequence.map((place) => indices[place]!));
}

/** The line through these points by least squares; their mean where they are no line. */
function fitted(points: readonly { readonly bytes: number; readonly tokens: number }[]): (bytes: number) => number {
  const mean = (of: (point: (typeof points)[number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / Math.max(1, points.length);
  const [bytes, tokens] = [mean((point) => point.bytes), mean((point) => point.tokens)];
  const spread = mean((point) => (point.bytes - bytes) ** 2);
  const slope = spread === 0 ? 0 : mean((point) => (point.bytes - bytes) * (point.tokens - tokens)) / spread;
  return (given) => tokens + slope * (given - bytes);
}
