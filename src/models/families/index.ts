import { ModelError } from "../../schema/index.ts";
import type { Family, GgufForm } from "./family.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gemma3Multimodal } from "./gemma3-multimodal.ts";
import { internlm2 } from "./internlm2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

export type { Family, GgufFacts, StoredPart } from "./family.ts";
export { llama3Factors } from "./family.ts";

/** Every family of decoders that Amalgam knows. */
export const families: readonly Family[] = [
  llama,
  mistral,
  mixtral,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  gemma3Multimodal,
  phi3,
  smollm3,
  olmo2,
  internlm2,
];

/** A family that has GGUF files of its own. */
type GgufFamily = Family & { readonly gguf: GgufForm };
const ggufFamilies = families.filter((family): family is GgufFamily => family.gguf !== undefined);

function unknown(kind: string, name: unknown, file: string, known: readonly string[]): ModelError {
  const message =
    name === undefined ? "the model does not say its architecture" : `unknown ${kind} ${JSON.stringify(name)}`;
  return new ModelError(message, {
    file,
    field: kind,
    hint: `Known: ${known.join(", ")}. Take a model of one of these.`,
  });
}

/** The family of a `config.json`. @throws ModelError that lists the known ones. */
export function familyOfConfig(modelType: unknown, file: string): Family {
  const found = families.find((family) => family.modelTypes.some((known) => known === modelType));
  if (found) return found;
  const known = families.flatMap((family) => family.modelTypes);
  throw unknown("model_type", modelType, file, known);
}

/** The family of a GGUF file. @throws ModelError that lists the known ones. */
export function familyOfGguf(architecture: unknown, file: string): GgufFamily {
  const found = ggufFamilies.find((family) => family.gguf.architecture === architecture);
  if (found) return found;
  const known = ggufFamilies.map((family) => family.gguf.architecture);
  throw unknown("general.architecture", architecture, file, known);
}
