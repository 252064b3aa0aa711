import { ops, scope, type Tensor } from "../torch/index.ts";
import { type CommonSettings, like, namedOptimiser, type Optimiser, type Parameters } from "./optimiser.ts";

export interface AdafactorSettings extends CommonSettings {
  /** Of the first moment; 0 keeps none. */
  readonly beta1: number;
  /** The second moment of step t decays by 1 - t^-decayRate. */
  readonly decayRate: number;
  /** Most that the root mean square of an update comes to, before the learning rate. */
  readonly clipThreshold: number;
  /** Added to squared gradients. */
  readonly epsilon: number;
  /** The learning rate of a parameter is multiplied by its root mean square, or by `scaleEpsilon` where that is more. */
  readonly scaleParameter: boolean;
  readonly scaleEpsilon: number;
}

const rootMeanSquare = (x: Tensor): Tensor => x.norm().div(Math.sqrt(x.elements));
const isMatrix = ({ shape }: Tensor): boolean => shape.length >= 2;
const only = (parameters: Parameters, wanted: (parameter: Tensor) => boolean): Parameters =>
  new Map([...parameters].filter(([, parameter]) => wanted(parameter)));

/**
 * Adafactor (Shazeer and Stern 2018, arXiv 1804.04235) with learning rates from outside: second moments of matrices as
 * the product of those of rows and columns, some thousandths of what AdamW keeps. Equal to transformers' Adafactor with
 * `relative_step=False`; decay is decoupled.
 */
export function adafactor(parameters: Parameters, settings: AdafactorSettings): Optimiser {
  const { beta1, decayRate, clipThreshold, epsilon, scaleParameter, scaleEpsilon } = settings;
  const zeros = (shape: readonly number[], { dtype, device }: Tensor) => ops.zeros(shape, { dtype, device });
  const matrices = only(parameters, isMatrix);
  const rows = like(matrices, (p) => zeros(p.shape.slice(0, -1), p));
  const columns = like(matrices, (p) => zeros([...p.shape.slice(0, -2), p.shape.at(-1)!], p));
  const plain = like(
    only(parameters, (p) => !isMatrix(p)),
    (p) => ops.zeros_like(p),
  );
  const first = beta1 === 0 ? new Map<string, Tensor>() : like(parameters, (p) => ops.zeros_like(p));
  const counts = like(parameters, () => ops.zeros([], { dtype: "int64" }));
  const state = { exp_avg: first, exp_avg_sq: plain, exp_avg_sq_row: rows, exp_avg_sq_col: columns, step: counts };

  /** One over the root of the second moment, after this gradient. */
  function inverseRoot(name: string, gradient: Tensor, keep: number): Tensor {
    const square = gradient.square().add_(epsilon);
    const take = (moment: Tensor, value: Tensor) => moment.mul_(keep).add_(value, { alpha: 1 - keep });
    const row = rows.get(name);
    if (row === undefined) return take(plain.get(name)!, square).rsqrt();
    take(row, square.mean([-1]));
    const column = take(columns.get(name)!, square.mean([-2]));
    return row
      .div(row.mean([-1], true))
      .rsqrt_()
      .unsqueeze(-1)
      .mul(column.unsqueeze(-2).rsqrt());
  }

  return namedOptimiser(parameters, settings, state, (step) => {
    for (const [k, name] of step.names.entries())
      scope(() => {
        const [parameter, gradient] = [step.parameters[k]!, step.gradients[k]!];
        const count = Number(counts.get(name)!.add_(1).item());
        const scale = scaleParameter ? Math.max(scaleEpsilon, Number(rootMeanSquare(parameter).item())) : 1;
        const lr = step.lr * scale;
        const update = inverseRoot(name, gradient, 1 - count ** -decayRate).mul_(gradient);
        update.div_(rootMeanSquare(update).div_(clipThreshold).clamp_min_(1)).mul_(lr);
        const moment = first.get(name);
        const change = moment === undefined ? update : moment.mul_(beta1).add_(update, { alpha: 1 - beta1 });
        parameter.mul_(1 - step.weight_decay * lr).sub_(change);
      });
  });
}
