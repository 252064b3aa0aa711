import { type DType, type Generator, noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import { dropped } from "./dropout.ts";
import { type LowRank, linear } from "./linear.ts";

export interface LoraSettings {
  readonly rank: number;
  readonly alpha: number;
  /** Share of an adapter's inputs that are dropped in training. */
  readonly dropout: number;
  /** Scale by alpha / sqrt(rank) and not alpha / rank (Kalajdzievski 2023, arXiv 2312.03732). */
  readonly rslora: boolean;
  /** Train the length of a weight's rows apart from their direction (Liu et al. 2024, arXiv 2402.09353). */
  readonly dora: boolean;
}

/** What is trained in place of a weight W [out, in]: W + scale B A, its rows brought to the lengths `magnitude` where there are any. */
export interface Adapter {
  /** [rank, in] */
  readonly a: Tensor;
  /** [out, rank] */
  readonly b: Tensor;
  /** [out], of DoRA. */
  readonly magnitude: Tensor | null;
  readonly scale: number;
  readonly dropout: number;
  /** Its number among the model's adapters: those of one input drop different elements of it. */
  readonly site: number;
  /** W + scale B A [out, in] as they are now, where it was computed: see `withSums`. */
  readonly sum?: Tensor;
}

/** Adapters by the name of the weight that each stands in for. */
export type Adapters = ReadonlyMap<string, Adapter>;

/** The factor on B A. */
export const loraScale = ({ rank, alpha, rslora }: Pick<LoraSettings, "rank" | "alpha" | "rslora">): number =>
  alpha / (rslora ? Math.sqrt(rank) : rank);

type Factors = Pick<Adapter, "a" | "b" | "scale" | "sum">;

/** W + scale B A [out, in], in the type of the adapter: a new tensor. */
const sumOf = (weight: Tensor, { a, b, scale }: Factors): Tensor => weight.to(a.dtype).addmm(b, a, { alpha: scale });

/** Lengths [out] of the rows of W + scale B A. */
const rowLengths = (weight: Tensor, factors: Factors): Tensor =>
  noGrad(() => scope(() => (factors.sum ?? sumOf(weight, factors)).norm(2, [1])));

/**
 * The adapters with their sums at hand, for use until the adapters change: products with the weights then take them along at no
 * price, and only their own gradients are left to compute. Whoever asks for them frees the sums.
 */
export const withSums = (adapters: Adapters, weights: ReadonlyMap<string, Tensor>): Adapters =>
  noGrad(
    () =>
      new Map([...adapters].map(([name, adapter]) => [name, { ...adapter, sum: sumOf(weights.get(name)!, adapter) }])),
  );

/**
 * An adapter that changes nothing yet (Hu et al. 2021, arXiv 2106.09685): A uniform in ±1 / sqrt(in), as PEFT draws it, B
 * zero, float32 on the weight's device. `random` is a generator of the processor: the draws don't depend on the device.
 */
export function createAdapter(weight: Tensor, settings: LoraSettings, random: Generator, site = 0): Adapter {
  const [out, inputs] = weight.shape as [number, number];
  const { device } = weight;
  return noGrad(() =>
    scope(() => {
      const bound = 1 / Math.sqrt(inputs);
      const drawn = ops.empty([settings.rank, inputs], { dtype: "float32" });
      const a = drawn.uniform_(-bound, bound, { generator: random }).to(device, "float32");
      const b = ops.zeros([out, settings.rank], { dtype: "float32", device });
      const scale = loraScale(settings);
      const magnitude = settings.dora ? rowLengths(weight, { a, b, scale }) : null;
      return { a, b, magnitude, scale, dropout: settings.dropout, site };
    }),
  );
}

/** Where nothing changes, the tensor itself: gradients can be added to its own while they are computed. */
const inType = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : x.to(dtype));

const isDropping = (adapter: Adapter, training: boolean) => training && adapter.dropout > 0;

/** What the product with the weight takes along of its adapter, in the type of the computation: nothing where inputs are dropped. */
export const takenAlong = (adapter: Adapter, dtype: DType, training: boolean): LowRank | null =>
  isDropping(adapter, training)
    ? null
    : {
        a: inType(adapter.a, dtype),
        b: inType(adapter.b, dtype),
        scale: adapter.scale,
        sum: adapter.sum?.dtype === dtype ? adapter.sum : null,
      };

/** Whether that is all that the adapter does. */
export const isAllTakenAlong = (adapter: Adapter, training: boolean): boolean =>
  adapter.magnitude === null && !isDropping(adapter, training);

/** A product with a weight, and what went into it: input [rows, in], output [rows, out] with the bias and what is `takenAlong` added. */
export interface Product {
  readonly input: Tensor;
  readonly output: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

/**
 * The product [rows, out] with the adapted weight. Gradients flow to the adapter and to the input; the lengths of DoRA's
 * rows count as constant in the backward, as section 4.3 of its paper has it.
 *
 * @param training whether inputs are dropped, as `dropped` does it.
 */
export function adapted(adapter: Adapter, { input, output, weight, bias }: Product, training: boolean): Tensor {
  if (isAllTakenAlong(adapter, training)) return output;
  // The bias is not stretched.
  if (!isDropping(adapter, training))
    return stretched(adapter, weight, output, bias === null ? output : output.sub(bias));
  const { dtype } = input;
  const x = dropped(input, adapter.dropout, adapter.site);
  const low = linear(linear(x, adapter.a.to(dtype)), adapter.b.to(dtype));
  const sum = output.add(low, { alpha: adapter.scale });
  if (adapter.magnitude === null) return sum;
  // What was dropped is dropped in the weight's product too.
  return stretched(adapter, weight, sum, linear(x, weight).add(low, { alpha: adapter.scale }));
}

/** `sum`, of which the part `product` is brought to the lengths of DoRA. */
function stretched(adapter: Adapter, weight: Tensor, sum: Tensor, product: Tensor): Tensor {
  if (adapter.magnitude === null) return sum;
  // Less one before it is rounded: in bfloat16 a length that changed by a thousandth would not have changed.
  return sum.addcmul(product, adapter.magnitude.div(rowLengths(weight, adapter)).sub(1).to(sum.dtype));
}

/** The adapted weight itself, a new tensor of the weight's type. */
export function merged(adapter: Adapter, weight: Tensor): Tensor {
  return noGrad(() =>
    scope(() => {
      const [a, b] = [adapter.a.to(weight.device, adapter.a.dtype), adapter.b.to(weight.device, adapter.b.dtype)];
      const whole = sumOf(weight, { a, b, scale: adapter.scale });
      if (adapter.magnitude === null) return whole.to(weight.dtype);
      const stretch = adapter.magnitude.to(weight.device, a.dtype).div(whole.norm(2, [1]));
      return whole.mul(stretch.unsqueeze(-1)).to(weight.dtype);
    }),
  );
}

/** The names that PEFT gives the tensors of a weight's adapter inside the model: A, B, and DoRA's lengths. */
export const adapterNames = (weight: string, dora: boolean): string[] =>
  ["lora_A.weight", "lora_B.weight", ...(dora ? ["lora_magnitude_vector"] : [])].map(
    (part) => `${weight.replace(/\.weight$/, "")}.${part}`,
  );

/** The tensors of adapters by these names. */
export function adapterTensors(adapters: Adapters): Map<string, Tensor> {
  const named = new Map<string, Tensor>();
  for (const [weight, { a, b, magnitude }] of adapters) {
    const tensors = magnitude === null ? [a, b] : [a, b, magnitude];
    for (const [k, name] of adapterNames(weight, magnitude !== null).entries()) named.set(name, tensors[k]!);
  }
  return named;
}
