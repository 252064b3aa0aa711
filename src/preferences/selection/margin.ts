import type { LeftOut } from "./rule.ts";

export interface Margin {
  /** Least and greatest difference of worth between the preferred response and y_l; equal ones are left out whatever it says. */
  readonly minGap: number;
  readonly maxGap?: number;
}

/** What is wrong with the difference of worth between a preferred and a dispreferred response; undefined where nothing is. */
export function marginFault(
  gap: number,
  { minGap, maxGap, nearEqual = 0 }: Margin & { readonly nearEqual?: number },
): LeftOut | undefined {
  if (Math.abs(gap) <= nearEqual * (1 + rounding)) return "rewards-equal";
  if (gap < 0) return "rejected-is-better";
  if (gap < minGap * (1 - rounding)) return "gap-below-minimum";
  return maxGap !== undefined && gap > maxGap * (1 + rounding) ? "gap-above-maximum" : undefined;
}

/** 0.3 - 0.2 is a little less than 0.1 in binary. */
const rounding = 1e-9;
