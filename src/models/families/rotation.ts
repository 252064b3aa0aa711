import { z } from "zod";
import type { Rope } from "../config.ts";
import { frequencies } from "../rope.ts";

/** How positions are stretched: `rope_scaling`, or what transformers 5 calls `rope_parameters`. */
export const rotationSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().optional(),
  factor: z.number().nullish(),
  low_freq_factor: z.number().optional(),
  high_freq_factor: z.number().optional(),
  original_max_position_embeddings: z.number().positive().nullish(),
  attention_factor: z.number().positive().nullish(),
  beta_fast: z.number().positive().nullish(),
  beta_slow: z.number().positive().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().optional(),
  partial_rotary_factor: z.number().optional(),
});
type Rotation = z.infer<typeof rotationSchema>;

/** Of the model whose rotation it is. */
interface Sizes {
  readonly rotaryDim: number;
  readonly maxPositions: number;
}

export const refusal = (field: string, input: unknown, message: string): z.ZodError =>
  new z.ZodError([{ code: "custom", path: [field], message, input }]);

const known = ["default", "linear", "dynamic", "llama3", "yarn"];

/**
 * The rotation of a config, old style (`rope_theta`, `rope_scaling`) or new (`rope_parameters`).
 *
 * @throws z.ZodError for a kind that is not known here, or a setting that is missing.
 */
export function readRope(theta: number, given: Rotation | null | undefined, sizes: Sizes): Rope {
  const kind = given?.rope_type ?? given?.type ?? "default";
  const needed = (field: "factor" | "low_freq_factor" | "high_freq_factor" | "original_max_position_embeddings") => {
    const value = given?.[field];
    if (typeof value === "number") return value;
    throw new z.ZodError([
      { code: "custom", path: ["rope_scaling", field], message: `needed by ${kind}`, input: given },
    ]);
  };
  if ((given?.partial_rotary_factor ?? 1) !== 1)
    throw refusal("partial_rotary_factor", given, "heads of this family are rotated as a whole here");
  if (kind === "default") return { theta, scaling: { kind: "none" } };
  if (kind === "linear") return { theta, scaling: { kind, factor: needed("factor") } };
  if (kind === "dynamic") return asTrained(theta, sizes);
  if (kind === "yarn") return yarn(theta, given!, sizes);
  if (kind === "llama3")
    return {
      theta,
      scaling: {
        kind,
        factor: needed("factor"),
        lowFrequencyFactor: needed("low_freq_factor"),
        highFrequencyFactor: needed("high_freq_factor"),
        originalPositions: needed("original_max_position_embeddings"),
      },
    };
  throw new z.ZodError([
    {
      code: "custom",
      path: ["rope_scaling", "rope_type"],
      message: `unknown rotation ${kind} (known: ${known.join(", ")})`,
      input: kind,
    },
  ]);
}

/**
 * Dynamic NTK turns a text of up to `maxPositions` tokens as if it were not there, and a longer one by its length: which a
 * prompt can't do whose responses differ in length, so the context ends there.
 */
const asTrained = (theta: number, { rotaryDim, maxPositions }: Sizes): Rope => ({
  theta,
  scaling: {
    kind: "longrope",
    factors: Array<number>(rotaryDim / 2).fill(1),
    amplitude: 1,
    originalPositions: maxPositions,
  },
});

/**
 * YaRN (Peng et al. 2023, arXiv 2309.00071, section 3.2 and 3.4): frequencies that turn often within the original context
 * stay, those that turn rarely are divided by the factor, and between them it is blended along the dimensions; cosines and
 * sines are multiplied by 0.1 ln(factor) + 1.
 */
function yarn(theta: number, given: Rotation, { rotaryDim, maxPositions }: Sizes): Rope {
  const original = given.original_max_position_embeddings ?? maxPositions;
  const factor = given.factor ?? maxPositions / original;
  if (factor < 1) throw refusal("rope_scaling", given, `factor is ${factor}, YaRN stretches by 1 at least`);
  const amplitudeOf = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: whole } = given;
  const own = mscale && whole ? amplitudeOf(mscale) / amplitudeOf(whole) : amplitudeOf(1);
  /** The pair of dimensions, as a fraction, that turns so often in the original context. */
  const pairOf = (turns: number) => (rotaryDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [pairOf(given.beta_fast ?? 32), pairOf(given.beta_slow ?? 1)];
  const rounded = given.truncate === false ? [first, last] : [Math.floor(first), Math.ceil(last)];
  const [low, high] = [Math.max(rounded[0]!, 0), Math.min(rounded[1]!, rotaryDim - 1)];
  const width = high === low ? 0.001 : high - low;
  const factors = frequencies({ theta, scaling: { kind: "none" } }, rotaryDim).map((_, pair) => {
    const stretched = Math.min(1, Math.max(0, (pair - low) / width));
    return 1 / (stretched / factor + 1 - stretched);
  });
  return {
    theta,
    scaling: {
      kind: "longrope",
      factors,
      amplitude: given.attention_factor ?? own,
      // It is the same for texts of any length.
      originalPositions: Number.MAX_SAFE_INTEGER,
    },
  };
}
