import { pythonRandom } from "../random/python-random.ts";

/**
 * Whether the judge sees the model's output before the baseline's, as alpaca-eval 0.6.6 draws it: from the instruction alone, so that all
 * models and all judges have the same order.
 */
export const isSwitched = (instruction: string): boolean =>
  pythonRandom(`is_switched_outputs${instruction}0`).choice([false, true]);
