import type { Recovery } from "../pipeline/index.ts";
import { table } from "./format.ts";

/** What `amalgam recover` prints. */
export function recoveryText({ faults, tables, kept }: Recovery, folder: string): string {
  if (kept === undefined) return "The ledger is whole; nothing was changed.";
  const rows = tables
    .filter(({ saved, lost }) => saved > 0 || lost !== 0)
    .map(({ name, saved, lost }) => [
      name,
      String(saved),
      lost === undefined ? "a part, how much is unknown" : String(lost),
    ]);
  return [
    "The ledger is damaged:",
    ...faults.map((fault) => `  ${fault}`),
    "",
    ...table(["Table", "Rows saved", "Rows lost"], rows),
    "",
    `A new ledger has what was saved. The damaged one is kept: ${kept}`,
    `Next: amalgam run ${folder}. It looks at every stage again, and asks only for what is lost.`,
  ].join("\n");
}
