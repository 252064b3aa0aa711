import { contentKey } from "../../../../schema/index.ts";
import type { Answering } from "../../evaluation.ts";

/** Questions, references or prompts as one key: the same whatever the order of the rows. */
export const setKey = (rows: readonly (readonly string[])[]): string =>
  contentKey([...rows].sort(([a], [b]) => (a! < b! ? -1 : a! > b! ? 1 : 0)));

/** Why a judge is not the official one; undefined where it is. */
export const otherJudge = (judge: Answering, official: string): string | undefined =>
  judge.endpoint?.model === official ? undefined : `the judge is ${judge.name}, not ${official}`;

/** What tells a reader why figures may not stand beside published ones. */
export const notOfficial = (reasons: readonly string[]): string[] =>
  reasons.length === 0 ? [] : [`not to be compared with published figures: ${reasons.join("; ")}`];
