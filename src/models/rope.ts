import { ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { customFunction, hasKernels, native, noGrad, ops, tensor } from "../torch/index.ts";
import type { DecoderConfig, Rope } from "./config.ts";

/** Angle per position of each pair of dimensions, [rotaryDim / 2]. */
export function frequencies(rope: Rope, rotaryDim: number): number[] {
  const plain = Array.from({ length: rotaryDim / 2 }, (_, i) => rope.theta ** ((-2 * i) / rotaryDim));
  const { scaling } = rope;
  if (scaling.kind === "none") return plain;
  if (scaling.kind === "linear") return plain.map((f) => f / scaling.factor);
  if (scaling.kind === "longrope") return plain.map((f, i) => f / scaling.factors[i]!);
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  return plain.map((f) => {
    const turnsInContext = (originalPositions * f) / (2 * Math.PI);
    if (turnsInContext < low) return f / factor;
    if (turnsInContext > high) return f;
    const smooth = (turnsInContext - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/** Cosines and sines of the tokens' angles, [T, 1, rotaryDim / 2] each. */
export type Turn = readonly [cos: Tensor, sin: Tensor];

/** @throws ModelError when a text is longer than the rotation is defined for. */
function assertReach({ scaling }: Rope, positions: Tensor): void {
  if (scaling.kind !== "longrope") return;
  const tokens = (positions.max().item() as number) + 1;
  if (tokens > scaling.originalPositions)
    throw new ModelError(
      `a text has ${tokens} tokens; this model's rotation is known up to ${scaling.originalPositions}`,
      {
        hint: "Lower max_length in the recipe, or take a model whose rotation does not change with the length of a text.",
      },
    );
}

/** One `Turn` for each kind of rotation in the model, in float32, as the models were trained. */
export function rotations(config: DecoderConfig, positions: Tensor, dtype: DType): (rope: Rope) => Turn {
  const made = new Map<string, Turn>();
  return (rope) => {
    const key = JSON.stringify(rope);
    let pair = made.get(key);
    if (pair === undefined) {
      assertReach(rope, positions);
      pair = noGrad(() => {
        const perPosition = tensor(Float32Array.from(frequencies(rope, config.rotaryDim))).to(
          positions.device,
          "float32",
        );
        const angles = positions.to("float32").unsqueeze(-1).mul(perPosition).unsqueeze(1);
        const amplitude = rope.scaling.kind === "longrope" ? rope.scaling.amplitude : 1;
        const sized = (x: Tensor) => (amplitude === 1 ? x : x.mul(amplitude)).to(dtype);
        return [sized(angles.cos()), sized(angles.sin())] as const;
      });
      made.set(key, pair);
    }
    return pair;
  };
}

/** [x1, x2, rest] -> [x1 cos - x2 sin, x2 cos + x1 sin, rest]; x1 and x2 are the pairs. */
function turned(x: Tensor, cos: Tensor, sin: Tensor, direction: 1 | -1): Tensor {
  if (hasKernels(x)) return native().rotatePairs(x, cos, sin, direction);
  const half = cos.shape.at(-1)!;
  const rest = x.shape.at(-1)! - 2 * half;
  const [x1, x2] = [x.narrow(-1, 0, half), x.narrow(-1, half, half)];
  const out = ops.empty(x.shape, { dtype: x.dtype, device: x.device });
  const [out1, out2] = [out.narrow(-1, 0, half), out.narrow(-1, half, half)];
  ops.mul(x1, cos, { out: out1 });
  out1.addcmul_(x2, sin, { value: -direction });
  ops.mul(x2, cos, { out: out2 });
  out2.addcmul_(x1, sin, { value: direction });
  if (rest > 0) out.narrow(-1, 2 * half, rest).copy_(x.narrow(-1, 2 * half, rest));
  return out;
}

/** Rotary position embedding of x [T, heads, headDim]; a rotation, so its backward is the rotation back. */
export function rotate(x: Tensor, [cos, sin]: Turn): Tensor {
  return customFunction({
    inputs: [x],
    forward: () => ({ output: turned(x, cos, sin, 1), saved: [cos, sin] }),
    backward: ([grad], [c, s]) => [turned(grad!, c!, s!, -1)],
  });
}
