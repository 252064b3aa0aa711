import { createRequire } from "node:module";

const load = createRequire(import.meta.url);

/**
 * A CommonJS package that is read when it is first asked for: commands that have no use for a large one begin without it. Give its type:
 * `whenUsed<typeof import("pg")>("pg")`.
 */
export function whenUsed<Package>(name: string): () => Package {
  let read: { readonly exports: Package } | undefined;
  return () => {
    read ??= { exports: load(name) as Package };
    return read.exports;
  };
}
