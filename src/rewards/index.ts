export type { Instruction } from "./checks/index.ts";
export { instructions, looseVariants, scoreChecks, scoreChecksLoosely, validateChecks } from "./checks/index.ts";
