import type { ArenaLabel, ArenaVersion } from "./verdict.ts";

/** How a battle ended for the model: 1 won, 0 lost, ½ tied. */
export type Outcome = 0 | 0.5 | 1;

/** The labels of a question's two games: the baseline is A in the first, the model is A in the second. Null where there is no verdict. */
export type Games = readonly [ArenaLabel | null, ArenaLabel | null];

/** How many battles a game counts that one side won by far. */
export const wonByFar = 3;

/**
 * The battles of one question, in arena-hard-auto's order. A game won by far counts three times. A game without verdict counts nowhere; in
 * v2.0 the question's other game doesn't either.
 */
export function battlesOf(games: Games, version: ArenaVersion): Outcome[] {
  const [first, second] = games;
  if (version === "v2.0") {
    if (first === null || second === null) return [];
    return [...battles(second, "A"), ...battles(first, "B")];
  }
  return [...battles(first, "B"), ...battles(second, "A")];
}

function battles(label: ArenaLabel | null, model: "A" | "B"): Outcome[] {
  if (label === null) return [];
  const outcome = label === "A=B" ? 0.5 : label.startsWith(model) ? 1 : 0;
  return Array<Outcome>(label.includes(">>") ? wonByFar : 1).fill(outcome);
}
