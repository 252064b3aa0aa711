import type { Parsed } from "../../sources/index.ts";

/**
 * The number that a server gave for a response. A list of lists is one for each token, of which the last counts; of several numbers, the
 * one at `label`. What is no finite number is a fault, never a default.
 */
export function rewardOf(given: unknown, label: number | undefined): Parsed<number> {
  const row = Array.isArray(given) && given.length > 0 && Array.isArray(given.at(-1)) ? given.at(-1) : given;
  if (!Array.isArray(row)) return finite(row);
  if (row.length === 0) return { fault: "the server gave an empty list for it" };
  if (row.length === 1 && label === undefined) return finite(row[0]);
  if (label === undefined)
    return { fault: `the server gave ${row.length} numbers for it; \`label\` says which is the reward` };
  if (label >= row.length)
    return { fault: `the server gave ${row.length} numbers for it, and \`label\` is ${label} (counted from 0)` };
  return finite(row[label]);
}

function finite(value: unknown): Parsed<number> {
  if (typeof value === "number" && Number.isFinite(value)) return { value };
  const shown = value === undefined ? "nothing" : (JSON.stringify(value) ?? "nothing");
  return { fault: `the server gave ${shown.slice(0, 60)} for it, which is no finite number` };
}
