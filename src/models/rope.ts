import type { DType, Tensor } from "../torch/index.ts";
import { customFunction, noGrad, ops, tensor } from "../torch/index.ts";
import type { DecoderConfig, Rope } from "./config.ts";

/** Angle per position of each pair of dimensions, [headDim / 2]. */
export function frequencies(rope: Rope, headDim: number): number[] {
  const plain = Array.from({ length: headDim / 2 }, (_, i) => rope.theta ** ((-2 * i) / headDim));
  const { scaling } = rope;
  if (scaling.kind === "none") return plain;
  if (scaling.kind === "linear") return plain.map((f) => f / scaling.factor);
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  return plain.map((f) => {
    const turnsInContext = (originalPositions * f) / (2 * Math.PI);
    if (turnsInContext < low) return f / factor;
    if (turnsInContext > high) return f;
    const smooth = (turnsInContext - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/**
 * Cosines and sines [T, 1, headDim / 2] of the tokens' angles, one pair for each kind of rotation in the model,
 * in float32, as the models were trained.
 */
export function rotations(
  config: DecoderConfig,
  positions: Tensor,
  dtype: DType,
): (rope: Rope) => readonly [Tensor, Tensor] {
  const made = new Map<string, readonly [Tensor, Tensor]>();
  return (rope) => {
    const key = JSON.stringify(rope);
    let pair = made.get(key);
    if (pair === undefined) {
      pair = noGrad(() => {
        const perPosition = tensor(Float32Array.from(frequencies(rope, config.headDim))).to(
          positions.device,
          "float32",
        );
        const angles = positions.to("float32").unsqueeze(-1).mul(perPosition).unsqueeze(1);
        return [angles.cos().to(dtype), angles.sin().to(dtype)] as const;
      });
      made.set(key, pair);
    }
    return pair;
  };
}

/** [x1, x2] -> [x1 cos - x2 sin, x2 cos + x1 sin]; the halves of the last dimension are the pairs. */
function turned(x: Tensor, cos: Tensor, sin: Tensor, direction: 1 | -1): Tensor {
  const half = x.shape.at(-1)! / 2;
  const [x1, x2] = [x.narrow(-1, 0, half), x.narrow(-1, half, half)];
  const out = ops.empty(x.shape, { dtype: x.dtype, device: x.device });
  const [out1, out2] = [out.narrow(-1, 0, half), out.narrow(-1, half, half)];
  ops.mul(x1, cos, { out: out1 });
  out1.addcmul_(x2, sin, { value: -direction });
  ops.mul(x2, cos, { out: out2 });
  out2.addcmul_(x1, sin, { value: direction });
  return out;
}

/** Rotary position embedding of x [T, heads, headDim]; a rotation, so its backward is the rotation back. */
export function rotate(x: Tensor, [cos, sin]: readonly [Tensor, Tensor]): Tensor {
  return customFunction({
    inputs: [x],
    forward: () => ({ output: turned(x, cos, sin, 1), saved: [cos, sin] }),
    backward: ([grad], [c, s]) => [turned(grad!, c!, s!, -1)],
  });
}
