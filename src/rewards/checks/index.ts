export type { Instruction } from "./instruction.ts";
export { looseVariants } from "./loose.ts";
export { instructions } from "./registry.ts";
export { scoreChecks, scoreChecksLoosely } from "./score.ts";
export { instructionOf, knownInstruction, validateChecks } from "./validate.ts";
