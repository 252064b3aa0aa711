import { ModelError } from "../../schema/index.ts";
import type { Family } from "./family.ts";
import { gemma3 } from "./gemma3.ts";
import { llama } from "./llama.ts";
import { qwen2 } from "./qwen2.ts";

export type { Family, GgufFacts } from "./family.ts";

/** Every family of decoders that Amalgam knows. */
export const families: readonly Family[] = [llama, qwen2, gemma3];

function find(kind: string, name: unknown, file: string, has: (family: Family) => boolean): Family {
  const found = families.find(has);
  if (found) return found;
  const known = families.flatMap((family) => (kind === "model_type" ? family.modelTypes : [family.ggufArchitecture]));
  const message =
    name === undefined ? "the model does not say its architecture" : `unknown ${kind} ${JSON.stringify(name)}`;
  throw new ModelError(message, {
    file,
    field: kind,
    hint: `Known: ${known.join(", ")}. Take a model of one of these.`,
  });
}

/** The family of a `config.json`. @throws ModelError that lists the known ones. */
export const familyOfConfig = (modelType: unknown, file: string): Family =>
  find("model_type", modelType, file, (family) => family.modelTypes.some((known) => known === modelType));

/** The family of a GGUF file. @throws ModelError that lists the known ones. */
export const familyOfGguf = (architecture: unknown, file: string): Family =>
  find("general.architecture", architecture, file, (family) => family.ggufArchitecture === architecture);
