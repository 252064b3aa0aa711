import { setImmediate as nextTurn } from "node:timers/promises";
import type { Objective, ObjectiveState } from "../objectives/index.ts";
import { TrainingError } from "../schema/index.ts";
import { backward, noGrad, scope, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import {
  byRole,
  type Comparison,
  columnLike,
  type PreferenceRow,
  policyColumns,
  type ResponseTable,
  responseTable,
  rolesOf,
} from "./response-table.ts";
import type { MicroBatchResult, TaskOptions, TrainingTask, WholeBatch } from "./task.ts";

/** The columns of a table that gradients flow back from; heads are there for the objectives that look at them. */
const differentiable = ["policy", "head"] as const;
type Differentiable = (typeof differentiable)[number];

/** What the second pass needs to know of a micro-batch. */
interface Plan {
  /** d loss / d log pi of each response that has a gradient, row after row; and of their heads. */
  readonly gradients: Readonly<Record<Differentiable, readonly number[]>>;
  /** Loss and metrics of the batch, the same for all of its micro-batches. */
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Rows of the batch. */
  readonly rows: number;
}

/**
 * The training of a coupled objective, whose loss L is a function of all log-probs p_1..p_n of an optimiser step's batch. A first
 * pass without gradients computes them, micro-batch by micro-batch; from them come L and dL/dp_i. A second
 * pass computes each micro-batch again and goes back from the sum of its dL/dp_i p_i: the gradient of L, exactly, whatever the
 * micro-batches are. A batch of one micro-batch needs one pass.
 */
export function coupledTask(
  comparison: Comparison,
): Required<Pick<TrainingTask<PreferenceRow>, "prepare" | "compute" | "evaluate" | "stepped" | "state">> {
  const { objective } = comparison;
  const scalars = Object.entries(objective.initialState ?? {}).map(
    ([name, value]) => [name, tensor([value], [1], "float64")] as const,
  );
  const state = new Map(scalars);
  const current = (): ObjectiveState =>
    Object.fromEntries([...state].map(([name, value]) => [name, value.item() as number]));
  let next: ObjectiveState = current();
  const plans = new Map<readonly PreferenceRow[], Plan>();

  /** The log-probs of a batch, micro-batch by micro-batch, without gradients; undefined where the signal ended it. */
  async function firstPass({ model, microBatches, options, signal }: WholeBatch<PreferenceRow>) {
    const passes: Numbers[] = [];
    for (const rows of microBatches) {
      if (signal?.aborted) return undefined;
      passes.push(noGrad(() => scope(() => numbersOf(responseTable(model, rows, comparison, options)))));
      await nextTurn();
    }
    return passes;
  }

  async function evaluate(batch: WholeBatch<PreferenceRow>) {
    const passes = await firstPass(batch);
    if (passes === undefined) return undefined;
    return noGrad(() =>
      scope(() => {
        const output = objective.compute(byRole(joined(passes), objective), batch.progress, current(), false);
        const all = [...means(output.metrics), ["loss", output.loss.mean()] as const];
        return Object.fromEntries(all.map(([name, mean]) => [name, mean.item() as number]));
      }),
    );
  }

  async function prepare(batch: WholeBatch<PreferenceRow>) {
    const { microBatches, progress } = batch;
    plans.clear();
    if (microBatches.length === 1) return true;
    const passes = await firstPass(batch);
    if (passes === undefined) return false;
    const { gradients, ...whole } = scope(() => {
      const table = joined(passes);
      for (const name of differentiable) if (table[name] !== undefined) table[name].requiresGrad = true;
      const output = objective.compute(byRole(table, objective), progress, current());
      const loss = output.loss.mean();
      requireFinite(loss.item() as number, microBatches.flat());
      backward(loss);
      next = output.state ?? {};
      return {
        gradients: differentiable.map((name) => {
          const grad = table[name]?.grad;
          return [name, grad == null ? table.roles.map(() => 0) : toNumbers(grad)] as const;
        }),
        loss: loss.item() as number,
        metrics: Object.fromEntries(
          means(output.metrics).map(([name, mean]) => [name, mean.item() as number] as const),
        ),
        rows: microBatches.flat().length,
      };
    });
    let taken = 0;
    for (const [k, rows] of microBatches.entries()) {
      const roles = passes[k]!.roles;
      const own = gradients.map(([name, values]) => {
        const some = values.slice(taken, taken + roles.length).filter((_, r) => roles[r] !== "mismatched");
        return [name, some] as const;
      });
      taken += roles.length;
      plans.set(rows, { ...whole, gradients: Object.fromEntries(own) as unknown as Plan["gradients"] });
    }
    return true;
  }

  function compute(
    model: WholeBatch<PreferenceRow>["model"],
    rows: readonly PreferenceRow[],
    progress: number,
    options: TaskOptions,
  ): MicroBatchResult {
    const share = (values: Tensor) => values.mul(rows.length);
    const plan = plans.get(rows);
    if (plan === undefined) {
      const table = responseTable(model, rows, comparison, options);
      const output = objective.compute(byRole(table, objective), progress, current());
      next = output.state ?? {};
      const metrics = means(output.metrics).map(([name, mean]) => [name, share(mean)] as const);
      return { loss: share(output.loss.mean()), metrics: Object.fromEntries(metrics) };
    }
    const own = rows.map((row) => withoutMismatched(row, objective));
    const columns = policyColumns(model, own, { ...objective, needsAlignments: false }, options);
    const column = columnLike(columns.policy);
    const scalar = (value: number) => column([value]).sum();
    const paths = differentiable.flatMap((name) => columns[name]?.mul(column(plan.gradients[name])).sum() ?? []);
    const path = paths.reduce((sum, term) => sum.add(term)).mul(plan.rows);
    return {
      // The value is the loss', the gradient the path's.
      loss: path.sub(path.detach()).add(share(scalar(plan.loss))),
      metrics: Object.fromEntries(
        Object.entries(plan.metrics).map(([name, value]) => [name, share(scalar(value))] as const),
      ),
    };
  }

  return {
    prepare,
    evaluate,
    compute,
    stepped() {
      plans.clear();
      noGrad(() =>
        scope(() => {
          for (const [name, value] of state) value.fill_(next[name]!);
        }),
      );
    },
    state,
  };
}

/** A table as numbers. */
interface Numbers {
  readonly roles: ResponseTable["roles"];
  readonly columns: readonly (readonly [name: string, values: readonly number[]])[];
}

const numbersOf = ({ roles, ...columns }: ResponseTable): Numbers => ({
  roles,
  columns: Object.entries(columns).map(([name, values]: [string, Tensor]) => [name, toNumbers(values)] as const),
});

/** One table of several, float64 on the processor: it is small, and sums over a batch lose nothing. */
function joined(parts: readonly Numbers[]): ResponseTable {
  const columns = parts[0]!.columns.map(([name], k) => {
    const values = parts.flatMap((part) => part.columns[k]![1]);
    return [name, tensor(values, [values.length], "float64")] as const;
  });
  return { roles: parts.flatMap(({ roles }) => roles), ...Object.fromEntries(columns) } as unknown as ResponseTable;
}

/** The means of metrics that have values: of a batch without any undesirable response, as an example, theirs have none. */
const means = (metrics: Readonly<Record<string, Tensor>>): [string, Tensor][] =>
  Object.entries(metrics)
    .filter(([, values]) => values.shape.every((size) => size > 0))
    .map(([name, values]) => [name, values.detach().to("float64").mean()]);

function withoutMismatched(row: PreferenceRow, objective: Objective): PreferenceRow {
  const roles = rolesOf(row, objective);
  const responses = row.responses.filter((_, k) => roles[k] !== "mismatched");
  return { ...row, responses, roles: roles.filter((role) => role !== "mismatched") };
}

function requireFinite(loss: number, rows: readonly PreferenceRow[]): void {
  if (Number.isFinite(loss)) return;
  throw new TrainingError(`the loss is ${loss} in the batch of these rows: ${rows.map(({ id }) => id).join(", ")}`, {
    hint: "Lower the learning rate or look at these rows. The latest checkpoint is kept.",
  });
}
