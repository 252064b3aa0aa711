export { findInterpreter, type Interpreter, type Language, languages } from "./languages.ts";
export type { Limits } from "./launch.ts";
export { sandbox } from "./probe.ts";
export type { Ending } from "./run.ts";
export { startRunner } from "./runner.ts";
