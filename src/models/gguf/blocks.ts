import { ops, type Tensor, tensor } from "../../torch/index.ts";
import type { TensorType } from "./types.ts";

/**
 * Blocks taken apart: an element is `scale * quants + shift`. Quants are whole numbers of 8 bits, [blocks, groups, size of
 * a group]; scale and shift are float32, [blocks, groups or 1, 1].
 */
export interface Unpacked {
  readonly quants: Tensor;
  readonly scale: Tensor;
  readonly shift?: Tensor;
}

/** Takes blocks apart that come as bytes, [blocks, bytes of a block]. */
export type Unpack = (blocks: Tensor) => Unpacked;

const part = (blocks: Tensor, at: number, bytes: number): Tensor => blocks.narrow(1, at, bytes);

/** The float16 at byte `at` (even) of each block, as float32 [blocks, 1]. */
const half = (blocks: Tensor, at: number): Tensor =>
  blocks
    .view("float16")
    .narrow(1, at / 2, 1)
    .to("float32");

/**
 * Fields of `bits` (1, 2 or 4) out of bytes: all the lowest fields of a group of `width` bytes first, then all the next.
 * @returns uint8 [blocks, bytes / width * (8 / bits) * width]
 */
function fields(bytes: Tensor, bits: 1 | 2 | 4, width: number): Tensor {
  const [blocks, length] = bytes.shape as [number, number];
  const groups = bytes.view([blocks, length / width, width]);
  const result = ops.empty([blocks, length / width, 8 / bits, width], { dtype: "uint8" });
  for (let i = 0; i < 8 / bits; i++) ops.bitwise_right_shift(groups, i * bits, { out: result.select(2, i) });
  return result.bitwise_and_((1 << bits) - 1).view([blocks, -1]);
}

const bitPlanes = BigInt64Array.from({ length: 256 }, (_, byte) => {
  let spread = 0n;
  for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) spread |= 0x10n << BigInt(8 * bit);
  return spread;
});

/** The fifth bits of Q5_0 and Q5_1: bit i of four bytes stands for element i. @returns uint8 [blocks, 32], 16 or 0 */
function fifthBits(bytes: Tensor): Tensor {
  const blocks = bytes.shape[0]!;
  const indices = bytes.reshape([-1]).to("int32");
  return tensor(bitPlanes).index_select(0, indices).view("uint8").view([blocks, 32]);
}

const signed = (quants: Tensor, offset: number): Tensor => quants.view("int8").sub_(offset);

/** [blocks, elements] in groups of `size`. */
const grouped = (quants: Tensor, size: number): Tensor => quants.view([quants.shape[0]!, -1, size]);

const perGroup = (scale: Tensor): Tensor => scale.unsqueeze(2);

/** Scales and minima of Q4_K and Q5_K: 8 of 6 bits each in 12 bytes. @returns twice uint8 [blocks, 8] */
function scalesAndMinima(bytes: Tensor): [scales: Tensor, minima: Tensor] {
  const [low, mid, high] = [part(bytes, 0, 4), part(bytes, 4, 4), part(bytes, 8, 4)];
  const top = (x: Tensor) => x.bitwise_right_shift(2).bitwise_and_(0x30);
  const scales = ops.cat([low.bitwise_and(0x3f), high.bitwise_and(0x0f).bitwise_or_(top(low))], 1);
  const minima = ops.cat([mid.bitwise_and(0x3f), high.bitwise_right_shift(4).bitwise_or_(top(mid))], 1);
  return [scales, minima];
}

/** Q4_K and Q5_K: scale and minimum of each group from the block's own and the 6-bit ones. */
function superScales(blocks: Tensor): { scale: Tensor; shift: Tensor } {
  const [scales, minima] = scalesAndMinima(part(blocks, 4, 12));
  return {
    scale: perGroup(half(blocks, 0).mul(scales.to("float32"))),
    shift: perGroup(half(blocks, 2).mul(minima.to("float32")).neg_()),
  };
}

/** The 16 values that the 4 bits of IQ4_NL and IQ4_XS stand for. */
const nonLinear = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

const nonLinearQuants = (bytes: Tensor): Tensor => {
  const indices = fields(bytes, 4, 16);
  return tensor(nonLinear)
    .index_select(0, indices.view([-1]).to("int32"))
    .view(indices.shape);
};

/** How each quantised type is taken apart. The layouts are those of ggml's ggml-common.h. */
export const unpackers: Partial<Record<TensorType, Unpack>> = {
  Q4_0: (blocks) => ({
    quants: grouped(signed(fields(part(blocks, 2, 16), 4, 16), 8), 32),
    scale: perGroup(half(blocks, 0)),
  }),
  Q4_1: (blocks) => ({
    quants: grouped(fields(part(blocks, 4, 16), 4, 16), 32),
    scale: perGroup(half(blocks, 0)),
    shift: perGroup(half(blocks, 2)),
  }),
  Q5_0(blocks) {
    const quants = fields(part(blocks, 6, 16), 4, 16).bitwise_or_(fifthBits(part(blocks, 2, 4)));
    return { quants: grouped(signed(quants, 16), 32), scale: perGroup(half(blocks, 0)) };
  },
  Q5_1(blocks) {
    const quants = fields(part(blocks, 8, 16), 4, 16).bitwise_or_(fifthBits(part(blocks, 4, 4)));
    return { quants: grouped(quants, 32), scale: perGroup(half(blocks, 0)), shift: perGroup(half(blocks, 2)) };
  },
  Q8_0: (blocks) => ({
    quants: part(blocks, 2, 32).view("int8").unsqueeze(1),
    scale: perGroup(half(blocks, 0)),
  }),
  Q2_K(blocks) {
    const scales = part(blocks, 0, 16);
    return {
      quants: grouped(fields(part(blocks, 16, 64), 2, 32), 16),
      scale: perGroup(half(blocks, 80).mul(scales.bitwise_and(0x0f).to("float32"))),
      shift: perGroup(half(blocks, 82).mul(scales.bitwise_right_shift(4).to("float32")).neg_()),
    };
  },
  Q3_K(blocks) {
    const highScales = fields(part(blocks, 104, 4), 2, 4).bitwise_left_shift_(4);
    const scales = signed(fields(part(blocks, 96, 8), 4, 8).bitwise_or_(highScales), 32);
    const highBits = fields(part(blocks, 0, 32), 1, 32).bitwise_left_shift_(2);
    const quants = fields(part(blocks, 32, 64), 2, 32).bitwise_or_(highBits);
    return {
      quants: grouped(signed(quants, 4), 16),
      scale: perGroup(half(blocks, 108).mul(scales.to("float32"))),
    };
  },
  Q4_K: (blocks) => ({
    quants: grouped(fields(part(blocks, 16, 128), 4, 32), 32),
    ...superScales(blocks),
  }),
  Q5_K(blocks) {
    const highBits = fields(part(blocks, 16, 32), 1, 32).bitwise_left_shift_(4);
    const quants = fields(part(blocks, 48, 128), 4, 32).bitwise_or_(highBits);
    return { quants: grouped(quants, 32), ...superScales(blocks) };
  },
  Q6_K(blocks) {
    const highBits = fields(part(blocks, 128, 64), 2, 32).bitwise_left_shift_(4);
    const quants = fields(part(blocks, 0, 128), 4, 64).bitwise_or_(highBits);
    const scales = part(blocks, 192, 16).view("int8").to("float32");
    return { quants: grouped(signed(quants, 32), 16), scale: perGroup(half(blocks, 208).mul(scales)) };
  },
  IQ4_NL: (blocks) => ({
    quants: grouped(nonLinearQuants(part(blocks, 2, 16)), 32),
    scale: perGroup(half(blocks, 0)),
  }),
  IQ4_XS(blocks) {
    const highScales = fields(part(blocks, 2, 2), 2, 1).bitwise_left_shift_(4);
    const scales = signed(fields(part(blocks, 4, 4), 4, 1).bitwise_or_(highScales), 32);
    return {
      quants: grouped(nonLinearQuants(part(blocks, 8, 128)), 32),
      scale: perGroup(half(blocks, 0).mul(scales.to("float32"))),
    };
  },
};
