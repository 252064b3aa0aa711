import { existsSync, readFileSync } from "node:fs";

/** Values of ATEN_CPU_CAPABILITY. */
export const instructionSets = ["default", "avx2", "avx512"] as const;

/** Whether this processor has the instructions; libtorch takes the word for it, and dies at the first one that it lacks. */
export function hasInstructions(set: (typeof instructionSets)[number]): boolean {
  const facts = "/proc/cpuinfo";
  return set === "default" || (existsSync(facts) && new RegExp(`\\b${set}`).test(readFileSync(facts, "utf8")));
}
