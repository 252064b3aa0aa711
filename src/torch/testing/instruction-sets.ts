import { existsSync, readFileSync } from "node:fs";

/** The values of ATEN_CPU_CAPABILITY that this processor can run: libtorch takes the word for it, and stops at the first unknown instruction. */
export function instructionSets(): string[] {
  const facts = "/proc/cpuinfo";
  const flags = existsSync(facts) ? readFileSync(facts, "utf8") : "";
  return ["default", ...["avx2", "avx512"].filter((name) => new RegExp(`\\b${name}`).test(flags))];
}
