import type { Objective } from "../objectives/index.ts";
import { TrainingError } from "../schema/index.ts";
import { bundleTokens } from "../scoring/index.ts";
import { coupledTask } from "./coupled.ts";
import { byRole, type Comparison, type PreferenceRow, responseTable, rolesOf } from "./response-table.ts";
import type { TrainingTask } from "./task.ts";

/**
 * Preference training by an objective on rows whose responses stand in the order of the objective's roles, or name their
 * own. The reference is that of the rows, or a moving one. Rows that are known to be `whole` are not looked at before their batch.
 *
 * @throws TrainingError where a row lacks what the objective compares: a response, a reference, a mismatched response.
 */
export function preferenceTask(
  rows: readonly PreferenceRow[],
  objective: Objective,
  { reference, whole = false }: Omit<Comparison, "objective"> & { readonly whole?: boolean } = {},
): TrainingTask<PreferenceRow> {
  if (!whole) for (const row of rows) requireWhole(row, objective, reference !== undefined);
  const comparison = { objective, reference };
  const loss = objective.coupled ? coupledTask(comparison) : computeRows(comparison);
  return {
    items: rows,
    tokensOf: bundleTokens,
    weightOf: () => 1,
    nameOf: (row) => row.id,
    bundlesOf: (row) => [row],
    ...loss,
    stepped(step) {
      loss.stepped?.(step);
      reference?.stepped(step);
    },
    state: new Map([
      ...(loss.state ?? []),
      ...[...(reference?.state ?? [])].map(([name, weight]) => [`reference.${name}`, weight] as const),
    ]),
  };
}

type Loss = Pick<TrainingTask<PreferenceRow>, "prepare" | "evaluate" | "compute" | "stepped" | "state">;

/** The loss of objectives that are a sum over rows. */
const computeRows = (comparison: Comparison): Loss => ({
  compute(model, items, progress, options) {
    const { objective } = comparison;
    const table = responseTable(model, items, comparison, options);
    const { loss, metrics } = objective.compute(byRole(table, objective), progress);
    const sums = Object.entries(metrics).map(([name, values]) => [name, values.detach().to("float64").sum()] as const);
    return { loss: loss.sum(), metrics: Object.fromEntries(sums) };
  },
});

function requireWhole(row: PreferenceRow, objective: Objective, moving: boolean): void {
  const { name, roles: wanted, needsHeads, unpaired, mismatched } = objective;
  const refuse = (what: string, hint: string): never => {
    throw new TrainingError(`${name} ${what}`, { hint });
  };
  const roles = rolesOf(row, objective);
  const needsReference = objective.needsReference && !moving;
  if (row.responses.length !== roles.length)
    refuse(
      `has ${roles.length} responses a row, and the row ${row.id} has ${row.responses.length}`,
      "Give each its role.",
    );
  if (needsReference && row.reference === undefined)
    refuse(`compares with a reference, and the row ${row.id} has none`, "Give the rows to withReference first.");
  if (needsReference && needsHeads && row.headReference === undefined)
    refuse(`compares heads, and the row ${row.id} has no reference of them`, "Give withReference `heads: true`.");
  if (mismatched && !roles.includes("mismatched"))
    refuse(`needs another row's responses, and the row ${row.id} has none`, "Give the rows to withMismatched first.");
  const own = roles.filter((role) => role !== "mismatched");
  const counts = (list: readonly string[]) => JSON.stringify([...list].sort());
  if (unpaired ? !own.some((role) => wanted.includes(role)) : counts(own) !== counts(wanted))
    refuse(
      `compares ${wanted.join(", ")}, and the row ${row.id} has ${own.join(", ") || "none of them"}`,
      unpaired ? "A row needs one of them at least." : "Rows of single responses are for kto and bco.",
    );
}
