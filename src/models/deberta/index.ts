export { type Deberta, debertaStates } from "./encoder.ts";
export * from "./pair-ranker.ts";
