/** 1 - Levenshtein distance / length of the longer text, in characters; 1 for two empty texts. */
export function editRatio(a: string, b: string): number {
  const [short, long] = [[...a], [...b]].sort((one, other) => one.length - other.length) as [string[], string[]];
  if (long.length === 0) return 1;
  return 1 - distance(short, long) / long.length;
}

function distance(short: readonly string[], long: readonly string[]): number {
  const row = Uint32Array.from({ length: short.length + 1 }, (_, at) => at);
  for (const [line, character] of long.entries()) {
    let diagonal = row[0]!;
    row[0] = line + 1;
    for (let at = 1; at <= short.length; at += 1) {
      const above = row[at]!;
      row[at] = Math.min(above + 1, row[at - 1]! + 1, diagonal + Number(short[at - 1] !== character));
      diagonal = above;
    }
  }
  return row[short.length]!;
}
