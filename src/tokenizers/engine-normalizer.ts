import { ModelError } from "../schema/index.ts";
import { readCharsMap } from "./charsmap.ts";
import type { Component } from "./tokenizer-json.ts";

const removed = (regex: string): Component => ({ type: "Replace", pattern: { Regex: regex }, content: "" });

/** Rewrites a normalizer so that `@huggingface/tokenizers` strips the white space of Unicode, as the Rust library does, not JavaScript's. */
export function adaptNormalizer(step: Component | null): Component | null {
  if (step?.type === "Sequence")
    return { ...step, normalizers: (step.normalizers as Component[]).map((each) => adaptNormalizer(each)) };
  if (step?.type !== "Strip") return step;
  // In the engine's regular expressions ^ and $ stand at every line.
  return {
    type: "Sequence",
    normalizers: [
      ...(step.strip_left === true ? [removed("(?<![\\s\\S])\\p{White_Space}+")] : []),
      ...(step.strip_right === true ? [removed("\\p{White_Space}+(?![\\s\\S])")] : []),
    ],
  };
}

/** A normalizer of the engine; a sequence has others. */
interface MadeNormalizer {
  normalize(text: string): string;
  readonly normalizers?: readonly (MadeNormalizer | null)[];
}

/** Gives the engine's normalizer, made of `config`, the character maps of the file in place of its one approximation for all of them. */
export function setCharsMaps(made: MadeNormalizer | null, config: Component | null, file: string): void {
  if (made === null || config === null) return;
  if (config.type === "Sequence")
    for (const [k, step] of (config.normalizers as Component[]).entries())
      setCharsMaps(made.normalizers![k]!, step, file);
  if (config.type !== "Precompiled") return;
  const { precompiled_charsmap: stated } = config;
  if (typeof stated !== "string")
    throw new ModelError("the normalizer has no precompiled_charsmap", { file, field: "normalizer" });
  made.normalize = readCharsMap(stated, file).normalize;
}
