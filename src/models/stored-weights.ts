import { ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { noGrad, ops, scope } from "../torch/index.ts";
import type { DecoderConfig } from "./config.ts";
import { parameterShapes } from "./decoder.ts";
import type { Family, StoredPart } from "./families/index.ts";

const shapeHint =
  "Config and weights belong to different models or versions: fetch or convert the model again as a whole.";

/** A stored tensor, and how a weight is taken from it. */
interface Placed {
  readonly stored: Tensor;
  take(stored: Tensor): Tensor;
}

/**
 * Where the weights of the architecture are stored, in its order; nothing is read of them yet but their shapes. `head` has the
 * shapes of a reward model's further tensors, which stand in place of an output matrix.
 *
 * @throws ModelError when one is missing, of another shape than config.json asks for, or of no use.
 */
export function placeStored(
  stored: ReadonlyMap<string, Tensor>,
  { folder: form }: Family,
  config: DecoderConfig,
  folder: string,
  head: ReadonlyMap<string, readonly number[]> = new Map(),
): Map<string, Placed> {
  const shapes = new Map<string, readonly number[]>([...parameterShapes(config), ...head]);
  const partOf = (name: string): StoredPart =>
    (head.has(name) ? undefined : form?.place(name, config)) ?? { names: [name] };
  const parts = new Map([...shapes.keys()].map((name) => [name, partOf(name)]));
  const output = partOf("lm_head.weight").names;
  const repeated = config.tied && head.size === 0 ? output : [];
  // Frequencies follow from the config; how long a batch norm was trained plays no part.
  const needless = (name: string) =>
    repeated.includes(name) ||
    (head.size > 0 && (output.includes(name) || name.endsWith(".num_batches_tracked"))) ||
    name.endsWith("rotary_emb.inv_freq") ||
    form?.leftOut?.(name) === true;
  const placed = placeParts(stored, shapes, (name) => parts.get(name)!, needless, folder);
  for (const name of repeated)
    if (stored.has(name))
      refuseUntied(stored.get(name)!, placed.get("model.embed_tokens.weight")!.stored, name, folder);
  return placed;
}

/**
 * Where weights of these shapes are stored: each as `partOf` says, and nothing besides but what is `needless`.
 *
 * @throws ModelError when one is missing, of another shape, or of no use.
 */
export function placeParts(
  stored: ReadonlyMap<string, Tensor>,
  shapes: ReadonlyMap<string, readonly number[]>,
  partOf: (name: string) => StoredPart,
  needless: (name: string) => boolean,
  folder: string,
): Map<string, Placed> {
  const parts = new Map([...shapes.keys()].map((name) => [name, partOf(name)]));
  const used = new Set([...parts.values()].flatMap(({ names }) => names));
  const unused = [...stored.keys()].find((name) => !used.has(name) && !needless(name));
  if (unused !== undefined)
    throw new ModelError("the model has a weight that its architecture doesn't use here", {
      file: folder,
      field: unused,
      hint: "The model only resembles a known architecture; without this weight its answers would be wrong.",
    });
  const placed = new Map<string, Placed>();
  for (const [name, { names, whole }] of parts) {
    const source = names.find((candidate) => stored.has(candidate));
    if (source === undefined)
      throw new ModelError(`the weights lack ${names[0]}`, {
        file: folder,
        field: names[0]!,
        hint: "The folder is incomplete, or of an architecture that only resembles a known one.",
      });
    const found = stored.get(source)!;
    const shape = whole?.shape ?? shapes.get(name)!;
    if (found.shape.join() !== shape.join())
      throw new ModelError(`has shape [${found.shape.join(", ")}], config.json asks for [${shape.join(", ")}]`, {
        file: folder,
        field: source,
        hint: shapeHint,
      });
    placed.set(name, { stored: found, take: whole?.take ?? ((tensor) => tensor) });
  }
  return placed;
}

/** A tied model may repeat its embedding as output matrix; one of its own would be lost. */
function refuseUntied(output: Tensor, embedding: Tensor, field: string, file: string): void {
  if (output.shape.join() === embedding.shape.join() && ops.equal(output, embedding)) return;
  throw new ModelError("the output matrix is not the embedding, and config.json says that it is", {
    file,
    field,
    hint: 'Set "tie_word_embeddings": false in config.json if the output matrix is to count, or remove it from the weights.',
  });
}

/**
 * Copies in a compute type: the mapped file may be replaced while the model is in use. With `release`, what was copied leaves memory, so
 * that the weights are not there twice.
 */
export function readStored(
  placed: ReadonlyMap<string, Placed>,
  dtype: DType,
  release?: (stored: Tensor) => void,
): Map<string, Tensor> {
  const copy = ({ stored, take }: Placed) => {
    const copied = noGrad(() =>
      scope(() => {
        const weight = take(stored);
        return weight.dtype === dtype ? weight.clone() : weight.to(dtype);
      }),
    );
    release?.(stored);
    return copied;
  };
  return new Map([...placed].map(([name, part]) => [name, copy(part)]));
}
