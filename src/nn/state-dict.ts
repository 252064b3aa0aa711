import { ModelError } from "../schema/index.ts";
import type { Tensor } from "../torch/index.ts";
import { noGrad } from "../torch/index.ts";

/** Names to tensors: the parameters of a model, the state of an optimiser, the contents of a safetensors file. */
export type StateDict = ReadonlyMap<string, Tensor>;

const shown = 5;

function listed(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const more = names.length > shown ? ` and ${names.length - shown} more` : "";
  return [`${what}: ${names.slice(0, shown).join(", ")}${more}`];
}

/**
 * Copies `state` into the tensors of `into`, which keep their dtype and device. All is checked before anything is
 * changed.
 *
 * @param file where `state` came from, for the error.
 * @throws ModelError naming the first few names that are missing, unexpected or of another shape.
 */
export function loadStateDict(into: StateDict, state: StateDict, file?: string): void {
  const missing = [...into.keys()].filter((name) => !state.has(name));
  const unexpected = [...state.keys()].filter((name) => !into.has(name));
  const pairs = [...into].flatMap(([name, target]) => {
    const source = state.get(name);
    return source === undefined ? [] : [{ name, target, source }];
  });
  const misshapen = pairs
    .filter(({ target, source }) => String(target.shape) !== String(source.shape))
    .map(({ name, target, source }) => `${name} is [${source.shape.join(", ")}], not [${target.shape.join(", ")}]`);
  const complaints = [
    ...listed("missing", missing),
    ...listed("unexpected", unexpected),
    ...listed("of another shape", misshapen),
  ];
  if (complaints.length > 0)
    throw new ModelError(`the tensors don't fit: ${complaints.join("; ")}`, {
      ...(file === undefined ? {} : { file }),
      hint: "They were saved from another architecture, or with other settings.",
    });
  noGrad(() => {
    for (const { target, source } of pairs) target.copy_(source).dispose();
  });
}
