import type { Decoder, ForwardOptions } from "../models/index.ts";
import type { Objective, ResponseLogProbs, Role, RowRole } from "../objectives/index.ts";
import { batchFigures, packBundles } from "../scoring/index.ts";
import { noGrad, scope, type Tensor, tensor } from "../torch/index.ts";
import type { MovingReference } from "./moving-reference.ts";
import { dropByRow } from "./row-dropout.ts";
import { headLengths, type TrainingRow } from "./rows.ts";
import type { TaskOptions } from "./task.ts";

/** A row with log pi_ref(y|x) of each of its responses. */
export interface ReferencedRow extends TrainingRow {
  readonly reference: readonly number[];
  /** The same of their heads, for objectives that look at them. */
  readonly headReference?: readonly number[];
}

/** A row with or without a reference. */
export type PreferenceRow = TrainingRow & Partial<ReferencedRow>;

/** What an objective looks at of the responses of some rows, all [responses], row after row. */
export interface ResponseTable extends ResponseLogProbs {
  readonly roles: readonly RowRole[];
}

/** What the responses of a row are to an objective. */
export const rolesOf = (row: TrainingRow, objective: Objective): readonly RowRole[] => row.roles ?? objective.roles;

/** The device of a model's weights. */
export const deviceOf = (model: Decoder): string => model.parameters.get("model.embed_tokens.weight")!.device;

/** What a preference training compares, and with which reference: that of the rows, or a moving one. */
export interface Comparison {
  readonly objective: Objective;
  readonly reference?: MovingReference | undefined;
}

/** The figures of the rows' responses, those under the policy by a forward pass that gradients flow back through. */
export function responseTable(
  model: Decoder,
  rows: readonly PreferenceRow[],
  { objective, reference: moving }: Comparison,
  options: TaskOptions,
): ResponseTable {
  const columns = policyColumns(model, rows, objective, options);
  const column = columnLike(columns.policy);
  return {
    roles: rows.flatMap((row) => rolesOf(row, objective)),
    ...columns,
    ...(moving === undefined || !objective.needsReference
      ? givenReference(rows, objective, column)
      : movingColumns(moving, rows, objective, options)),
    lengths: column(rows.flatMap(({ responses }) => responses.map((response) => response.length))),
  };
}

/** Makes columns of numbers on the device and in the type of this one. */
export const columnLike =
  ({ device, dtype }: Tensor) =>
  (values: readonly number[]): Tensor =>
    tensor(values, [values.length], "float64").to(device, dtype);

type ReferenceColumns = Pick<ResponseTable, "reference" | "headReference">;

function givenReference(
  rows: readonly PreferenceRow[],
  { needsHeads }: Objective,
  column: (values: readonly number[]) => Tensor,
): ReferenceColumns {
  const given = (of: (row: PreferenceRow) => readonly number[] | undefined) =>
    column(rows.flatMap((row) => of(row) ?? row.responses.map(() => Number.NaN)));
  return {
    reference: given(({ reference }) => reference),
    ...(needsHeads ? { headReference: given(({ headReference }) => headReference) } : {}),
  };
}

function movingColumns(
  { decoder }: MovingReference,
  rows: readonly PreferenceRow[],
  objective: Objective,
  { dtype }: ForwardOptions,
): ReferenceColumns {
  const plain = dtype === undefined ? {} : { dtype };
  return noGrad(() =>
    scope(() => {
      const { policy, head } = policyColumns(decoder, rows, { ...objective, needsAlignments: false }, plain);
      return { reference: policy, ...(head === undefined ? {} : { headReference: head }) };
    }),
  );
}

/** The columns of a table that a forward pass of the policy gives. */
export function policyColumns(
  model: Decoder,
  rows: readonly PreferenceRow[],
  { needsHeads, needsAlignments }: Objective,
  options: TaskOptions,
): Pick<ResponseTable, "policy" | "head" | "alignment"> {
  dropByRow(rows, options);
  const figures = batchFigures(model, packBundles(rows, deviceOf(model)), {
    ...options,
    heads: needsHeads ? rows.flatMap(headLengths) : undefined,
    alignments: needsAlignments,
  });
  return {
    policy: figures.logProbs,
    ...(figures.heads === undefined ? {} : { head: figures.heads }),
    ...(figures.alignments === undefined ? {} : { alignment: figures.alignments }),
  };
}

/** A table's responses by their roles. */
export function byRole(
  { roles, ...columns }: ResponseTable,
  objective: Objective,
): Record<Role | "mismatched", ResponseLogProbs> {
  const wanted = new Set<RowRole>([...objective.roles, ...(objective.mismatched ? (["mismatched"] as const) : [])]);
  const pick = (role: RowRole): ResponseLogProbs => {
    const places = [...roles.keys()].filter((k) => roles[k] === role);
    const index = tensor(places, [places.length], "int64").to(columns.policy.device, "int64");
    return Object.fromEntries(
      Object.entries(columns).map(([name, values]: [string, Tensor]) => [name, values.index_select(0, index)]),
    ) as unknown as ResponseLogProbs;
  };
  return Object.fromEntries([...wanted].map((role) => [role, pick(role)])) as Record<RowRole, ResponseLogProbs>;
}
