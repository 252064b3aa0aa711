/** A stretch of two texts: in both, only in the first (removed), or only in the second (added). */
export interface DiffPart {
  readonly kind: "same" | "removed" | "added";
  readonly text: string;
}

/** Words, signs of scripts without spaces, white space and single other characters: joined they are the text again. */
const piece =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{N}\p{M}])+|\s+|[\s\S]/gu;

const piecesOf = (text: string): string[] => text.match(piece) ?? [];

/** Steps of the search beyond which two texts count as altogether different: each keeps that many numbers in memory. */
const mostSteps = 2000;

/**
 * What turns the first text into the second, word by word: a shortest edit script (Myers 1986, "An O(ND) Difference
 * Algorithm"). The parts that are not `added` make the first text, those that are not `removed` the second. Undefined where
 * the texts differ in so much (more than 2,000 words) that a diff would say nothing.
 */
export function wordDiff(first: string, second: string): DiffPart[] | undefined {
  const [a, b] = [piecesOf(first), piecesOf(second)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = editScript(a.slice(start, a.length - end), b.slice(start, b.length - end));
  if (middle === undefined) return undefined;
  return merged([
    { kind: "same", text: a.slice(0, start).join("") },
    ...middle,
    { kind: "same", text: a.slice(a.length - end).join("") },
  ]);
}

/** A shortest edit script of two lists, piece by piece. */
function editScript(a: readonly string[], b: readonly string[]): DiffPart[] | undefined {
  const reach: Int32Array[] = [];
  const most = Math.min(a.length + b.length, mostSteps);
  const size = 2 * most + 1;
  const furthest = new Int32Array(size + 2);
  for (let steps = 0; steps <= most; steps += 1) {
    // Only the diagonals up to this step are ever looked at again.
    reach.push(furthest.slice(most - steps, most + steps + 3));
    for (let k = -steps; k <= steps; k += 2) {
      let x = fromAbove(furthest, most + 1, k, steps) ? furthest[most + 2 + k]! : furthest[most + k]! + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest[most + 1 + k] = x;
      if (x >= a.length && x - k >= b.length) return backwards(a, b, reach);
    }
  }
  return undefined;
}

/** Whether the furthest path on diagonal k comes by an addition, from diagonal k + 1. */
const fromAbove = (furthest: Int32Array, centre: number, k: number, steps: number): boolean =>
  k === -steps || (k !== steps && furthest[centre + k - 1]! < furthest[centre + k + 1]!);

function backwards(a: readonly string[], b: readonly string[], reach: readonly Int32Array[]): DiffPart[] {
  const parts: DiffPart[] = [];
  let [x, y] = [a.length, b.length];
  for (let steps = reach.length - 1; steps >= 0; steps -= 1) {
    const furthest = reach[steps]!;
    const k = x - y;
    const centre = steps + 1;
    const above = fromAbove(furthest, centre, k, steps);
    const [beforeX, beforeK] = above ? [furthest[centre + k + 1]!, k + 1] : [furthest[centre + k - 1]!, k - 1];
    const beforeY = beforeX - beforeK;
    while (x > Math.max(beforeX, 0) && y > Math.max(beforeY, 0)) {
      x -= 1;
      y -= 1;
      parts.push({ kind: "same", text: a[x]! });
    }
    if (steps === 0) break;
    parts.push(above ? { kind: "added", text: b[beforeY]! } : { kind: "removed", text: a[beforeX]! });
    [x, y] = [beforeX, beforeY];
  }
  return parts.reverse();
}

/** Neighbours of one kind as one part; between two stretches of `same`, what is removed stands before what is added. */
function merged(parts: readonly DiffPart[]): DiffPart[] {
  const found: DiffPart[] = [];
  let [removed, added, same] = ["", "", ""];
  const flush = () => {
    if (removed !== "") found.push({ kind: "removed", text: removed });
    if (added !== "") found.push({ kind: "added", text: added });
    [removed, added] = ["", ""];
  };
  for (const { kind, text } of [...parts, { kind: "same", text: "" } as const]) {
    if (kind === "same") {
      if (text !== "") flush();
      same += text;
      continue;
    }
    if (same !== "") found.push({ kind: "same", text: same });
    same = "";
    if (kind === "removed") removed += text;
    else added += text;
  }
  flush();
  if (same !== "") found.push({ kind: "same", text: same });
  return found;
}
