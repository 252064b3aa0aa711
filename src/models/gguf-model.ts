import { ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { noGrad, scope, toNumbers } from "../torch/index.ts";
import type { DecoderConfig } from "./config.ts";
import { parameterShapes } from "./decoder.ts";
import type { Family, GgufFacts } from "./families/index.ts";
import { familyOfGguf, llama3Factors } from "./families/index.ts";
import { dequantise, type Gguf } from "./gguf/index.ts";

/** Names of GGUF tensors without `.weight`/`.bias`, and what Hugging Face calls them. */
const wholeNames: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};
const layerParts: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  ffn_norm: "post_attention_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

const incomplete = "The file is incomplete: convert the model again, or take another file.";

function huggingFaceName(name: string, family: Family): string | undefined {
  const layer = /^blk\.(\d+)\.(.+)$/.exec(name);
  const [, stem = "", kind = ""] = /^(.+)\.(weight|bias)$/.exec(layer ? layer[2]! : name) ?? [];
  if (layer === null) return wholeNames[stem] && `${wholeNames[stem]}.${kind}`;
  const special = family.gguf?.names?.[`${stem}.${kind}`];
  const part = special ?? (layerParts[stem] && `${layerParts[stem]}.${kind}`);
  return part && `model.layers.${layer[1]}.${part}`;
}

function factsOf(gguf: Gguf, architecture: string): GgufFacts {
  const find = (key: string) => gguf.metadata.get(`${architecture}.${key}`);
  const optionalNumber = (key: string) => {
    const value = find(key);
    if (value !== undefined && typeof value !== "number")
      throw new ModelError(`is ${typeof value}, not a number`, {
        file: gguf.file,
        field: `${architecture}.${key}`,
        hint: incomplete,
      });
    return value;
  };
  const embedding = gguf.tensors.get("token_embd.weight");
  if (embedding === undefined)
    throw new ModelError("the file has no token_embd.weight", { file: gguf.file, hint: incomplete });
  return {
    optionalNumber,
    number(key) {
      const value = optionalNumber(key);
      if (value === undefined)
        throw new ModelError("the metadata lack this key", {
          file: gguf.file,
          field: `${architecture}.${key}`,
          hint: incomplete,
        });
      return value;
    },
    optionalString: (key) => {
      const value = find(key);
      return typeof value === "string" ? value : undefined;
    },
    vocabularySize: embedding.shape[0]!,
    hasTensor: (name) => gguf.tensors.has(name),
    optionalTensor: (name) => (gguf.tensors.has(name) ? scope(() => toNumbers(dequantise(gguf, name))) : undefined),
    refuse: (field, message) =>
      new ModelError(message, {
        file: gguf.file,
        field,
        hint: "Take a model of a kind that is known here: positions, windows and scales differ between them.",
      }),
  };
}

/** What a GGUF file's metadata say of the model, as the fields of a `config.json`. */
export function configFromGguf(gguf: Gguf): { family: Family; config: Record<string, unknown> } {
  const architecture = gguf.metadata.get("general.architecture");
  const family = familyOfGguf(architecture, gguf.file);
  const config = family.gguf.config(factsOf(gguf, String(architecture)));
  return { family, config: { architectures: [family.architecture], ...config } };
}

/**
 * The tensor of each weight, by the weight's Hugging Face name; nothing is read of them but their shapes.
 *
 * @throws ModelError when a weight is missing, of no use, or of another shape than the metadata ask for.
 */
export function placeWeights(gguf: Gguf, family: Family, config: DecoderConfig): Map<string, string> {
  const stored = new Map<string, string>();
  const shapes = parameterShapes(config);
  for (const name of gguf.tensors.keys()) {
    const known = huggingFaceName(name, family);
    if (known !== undefined && shapes.has(known)) stored.set(known, name);
    // Factors of the rotation are read with the metadata.
    else if (!(family.gguf?.factors ?? [llama3Factors]).includes(name))
      throw new ModelError("the model has a weight that its architecture doesn't use here", {
        file: gguf.file,
        field: name,
        hint: "The model only resembles a known architecture; without this weight its answers would be wrong.",
      });
  }
  const placed = new Map<string, string>();
  for (const [name, shape] of shapes) {
    const source = stored.get(name);
    if (source === undefined)
      throw new ModelError(`the file lacks the weight ${name}`, {
        file: gguf.file,
        field: name,
        hint: "The file is incomplete, or of an architecture that only resembles a known one.",
      });
    const found = gguf.tensors.get(source)!.shape;
    if (found.join() !== shape.join())
      throw new ModelError(`has shape [${found.join(", ")}], the metadata ask for [${shape.join(", ")}]`, {
        file: gguf.file,
        field: source,
        hint: "Metadata and weights belong to different models: convert the model again, or take another file.",
      });
    placed.set(name, source);
  }
  return placed;
}

/** The weights that `placeWeights` found, dequantised in float32 and rounded once to `dtype`. */
export function weightsFromGguf(
  gguf: Gguf,
  placed: ReadonlyMap<string, string>,
  family: Family,
  config: DecoderConfig,
  dtype: DType,
): Map<string, Tensor> {
  const read = (name: string, source: string) =>
    noGrad(() =>
      scope(() => {
        const plain = dequantise(gguf, source);
        return (family.gguf?.restore?.(name, plain, config) ?? plain).to(dtype).contiguous();
      }),
    );
  return new Map([...placed].map(([name, source]) => [name, read(name, source)]));
}
