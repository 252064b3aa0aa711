/** Rows of texts as columns, the first to the left and the others to the right. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}

export const gibibytes = (bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/** The sides of a comparison, the product first; tokens where they are counted. */
export function comparison(summaries) {
  const counted = summaries.every(({ tokens }) => tokens !== undefined);
  const head = [
    "",
    "runs",
    "min s",
    "median s",
    "min ratio",
    "median ratio",
    "peak",
    "our share",
    ...(counted ? ["tokens", "tokens/s"] : []),
  ];
  const rows = summaries.map((side) => [
    side.name,
    String(side.runs),
    side.least.toFixed(2),
    side.median.toFixed(2),
    `${side.ratioOfLeast.toFixed(2)}x`,
    `${side.ratioOfMedians.toFixed(2)}x`,
    gibibytes(side.peakBytes),
    side.peakShare.toFixed(2),
    ...(counted ? [String(side.tokens), (side.tokens / side.least).toFixed(0)] : []),
  ]);
  return table([head, ...rows]);
}
