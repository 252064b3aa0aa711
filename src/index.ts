/** Amalgam as a library: a run and its stages; the rooms stand under names of their own (`amalgam/models`, ...). */
export * from "./pipeline/index.ts";
export * from "./schema/index.ts";
