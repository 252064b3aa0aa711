export type { Instruction } from "./instruction.ts";
export { looseVariants } from "./loose.ts";
export { instructions } from "./registry.ts";
export { scoreChecks, scoreChecksLoosely } from "./score.ts";
export { validateChecks } from "./validate.ts";
