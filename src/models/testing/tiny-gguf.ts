import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { byteLevelMetadata } from "../../tokenizers/testing/synthetic.ts";
import { ops, type Tensor } from "../../torch/index.ts";
import type { Decoder } from "../decoder.ts";
import { type GgufValueType, ggufFile } from "./gguf-writer.ts";
import type { TinyFamily } from "./tiny-model.ts";

export type Metadata = [key: string, type: GgufValueType, value: unknown][];
const float32Type = 0;

/** llama.cpp's order of rotary dimensions: each head's two halves interleaved. */
function interleaved(weight: Tensor, heads: number): Tensor {
  const [rows, columns] = weight.shape as [number, number];
  const half = rows / heads / 2;
  const order = Array.from({ length: rows }, (_, row) => {
    const [head, within] = [Math.floor(row / (2 * half)), row % (2 * half)];
    return head * 2 * half + (within % 2) * half + Math.floor(within / 2);
  });
  return ops.stack(order.map((row) => weight.select(0, row))).view([rows, columns]);
}

const parts: Readonly<Record<string, string>> = {
  "input_layernorm.weight": "attn_norm.weight",
  "post_attention_layernorm.weight": "ffn_norm.weight",
  "mlp.gate_proj.weight": "ffn_gate.weight",
  "mlp.up_proj.weight": "ffn_up.weight",
  "mlp.gate_up_proj.weight": "ffn_up.weight",
  "mlp.down_proj.weight": "ffn_down.weight",
  "self_attn.qkv_proj.weight": "attn_qkv.weight",
  "self_attn.o_proj.weight": "attn_output.weight",
  "self_attn.q_norm.weight": "attn_q_norm.weight",
  "self_attn.k_norm.weight": "attn_k_norm.weight",
  ...Object.fromEntries(
    ["q", "k", "v"].flatMap((n) =>
      ["weight", "bias"].map((kind) => [`self_attn.${n}_proj.${kind}`, `attn_${n}.${kind}`]),
    ),
  ),
};
/** Where norms stand after the blocks, too. */
const partsWithPostNorms: Readonly<Record<string, string>> = {
  ...parts,
  "post_attention_layernorm.weight": "post_attention_norm.weight",
  "pre_feedforward_layernorm.weight": "ffn_norm.weight",
  "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
};

function ggufTensors({ config, parameters }: Decoder, family: TinyFamily): [name: string, weight: Tensor][] {
  const names = config.norms === "pre" ? parts : partsWithPostNorms;
  return [...parameters].map(([name, stored]) => {
    const weight = config.normOffset === 1 && name.endsWith("norm.weight") ? stored.add(1) : stored;
    const [, layer, part = ""] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (layer === undefined) {
      const whole = { "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight" };
      return [whole[name as keyof typeof whole] ?? "output.weight", weight];
    }
    const turned = ["llama", "smollm3", "internlm2"].includes(family) && /[qk]_proj/.test(part);
    const heads = part.includes("q_proj") ? config.heads : config.keyValueHeads;
    return [`blk.${layer}.${names[part]}`, turned ? interleaved(weight, heads) : weight];
  });
}

const tokenizerMetadata = (): Metadata =>
  [...byteLevelMetadata("qwen2")]
    .filter(([key]) => key !== "general.architecture")
    .map(([key, value]): Metadata[number] => {
      if (typeof value === "string") return [key, "string", value];
      if (typeof value === "number") return [key, "uint32", value];
      return value instanceof Int32Array ? [key, ["int32"], [...value]] : [key, ["string"], value];
    });

export interface Change {
  readonly metadata?: Metadata;
  readonly tensors?: (given: [string, Tensor][]) => [string, Tensor][];
}

/** A tiny model as a GGUF file. */
export function writeGguf(
  decoder: Decoder,
  family: TinyFamily,
  { metadata = [], tensors = (t) => t }: Change = {},
): string {
  const { config } = decoder;
  const own = (key: string) => `${family}.${key}`;
  const file = join(mkdtempSync(join(tmpdir(), "amalgam-gguf-model-")), "model.gguf");
  const entries: Metadata = [
    ["general.architecture", "string", family],
    [own("block_count"), "uint32", config.layers.length],
    [own("context_length"), "uint32", config.maxPositions],
    [own("embedding_length"), "uint32", config.hiddenSize],
    [own("feed_forward_length"), "uint32", config.intermediateSize],
    [own("attention.head_count"), "uint32", config.heads],
    [own("attention.head_count_kv"), "uint32", config.keyValueHeads],
    [own("attention.layer_norm_rms_epsilon"), "float32", config.normEpsilon],
    [own("rope.freq_base"), "float32", config.layers[0]!.rope!.theta],
    ...tokenizerMetadata(),
    ...metadata,
  ];
  const stored = tensors(ggufTensors(decoder, family)).map(([name, weight]) => ({
    name,
    type: float32Type,
    shape: weight.shape,
    data: new Uint8Array(weight.contiguous().bytes()),
  }));
  writeFileSync(file, ggufFile({ metadata: entries, tensors: stored }));
  return file;
}
