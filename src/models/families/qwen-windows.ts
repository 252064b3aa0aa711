import { z } from "zod";
import type { LayerKind } from "../config.ts";

/** Sliding windows of Qwen2 and Qwen3: where they are used, all layers but the first `max_window_layers` have one. */
export const windowFields = {
  use_sliding_window: z.boolean().default(false),
  sliding_window: z.int().positive().nullish(),
  max_window_layers: z.int().min(0).default(28),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).nullish(),
};
const schema = z.looseObject(windowFields);

/** The layers with their windows. */
export function withWindows(
  layers: readonly LayerKind[],
  { use_sliding_window: used, sliding_window, max_window_layers: first, layer_types: listed }: z.infer<typeof schema>,
): readonly LayerKind[] {
  // Null is none; left out, it is that of the config's class.
  const window = sliding_window === undefined ? 4096 : sliding_window;
  if (!used || window === null) return layers;
  const slides = (layer: number) => (listed ? listed[layer] === "sliding_attention" : layer >= first);
  return layers.map((kind, layer) => (slides(layer) ? { ...kind, window } : kind));
}
