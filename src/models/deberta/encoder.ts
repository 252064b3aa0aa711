import { embedding, linears } from "../../nn/index.ts";
import { ops, scope, type Tensor, tensor } from "../../torch/index.ts";
import type { DebertaConfig } from "./config.ts";

/** An encoder with its weights, under their Hugging Face names after `prefix`. */
export interface Deberta {
  readonly config: DebertaConfig;
  readonly prefix: string;
  readonly parameters: ReadonlyMap<string, Tensor>;
}

const layerName = (index: number) => `encoder.layer.${index}`;
const positionRows = ({ buckets, maxDistance }: DebertaConfig) => 2 * (buckets ?? maxDistance);

/** Names and shapes of the encoder's weights, without a prefix. */
export function debertaShapes(config: DebertaConfig): Map<string, readonly number[]> {
  const { hiddenSize: h, intermediateSize: i, heads, headDim, segments, sharedProjections, terms } = config;
  const shapes = new Map<string, readonly number[]>([
    ["embeddings.word_embeddings.weight", [config.vocabularySize, h]],
  ]);
  const matrix = (name: string, to: number, from: number) =>
    shapes.set(`${name}.weight`, [to, from]).set(`${name}.bias`, [to]);
  const norm = (name: string) => shapes.set(`${name}.weight`, [h]).set(`${name}.bias`, [h]);
  if (segments > 0) shapes.set("embeddings.token_type_embeddings.weight", [segments, h]);
  norm("embeddings.LayerNorm");
  shapes.set("encoder.rel_embeddings.weight", [positionRows(config), h]);
  if (config.normedPositions) norm("encoder.LayerNorm");
  for (let index = 0; index < config.layers; index++) {
    const name = layerName(index);
    for (const part of ["query", "key", "value"]) matrix(`${name}.attention.self.${part}_proj`, heads * headDim, h);
    if (!sharedProjections && terms.includes("c2p")) matrix(`${name}.attention.self.pos_key_proj`, heads * headDim, h);
    if (!sharedProjections && terms.includes("p2c"))
      matrix(`${name}.attention.self.pos_query_proj`, heads * headDim, h);
    matrix(`${name}.attention.output.dense`, h, heads * headDim);
    norm(`${name}.attention.output.LayerNorm`);
    matrix(`${name}.intermediate.dense`, i, h);
    matrix(`${name}.output.dense`, h, i);
    norm(`${name}.output.LayerNorm`);
  }
  return shapes;
}

/**
 * The bucket of each distance from 0 to `count` - 1, int64 [count]: up to half of the buckets have one distance each, the others
 * grow with its logarithm. In float32, operator by operator as the reference code has it: rounding decides at the edges.
 */
export function distanceBuckets(
  count: number,
  { buckets, maxDistance }: Pick<DebertaConfig, "buckets" | "maxDistance">,
): Tensor {
  const distances = ops.arange(count, { dtype: "int64" });
  if (buckets === null) return distances;
  return scope(() => {
    const middle = Math.floor(buckets / 2);
    const share = distances
      .clamp(middle - 1)
      .div(middle)
      .log()
      .div(tensor([(maxDistance - 1) / middle]).log());
    const far = share
      .mul(middle - 1)
      .ceil()
      .add(middle)
      .to("int64");
    return ops.where(distances.le(middle), distances, far);
  });
}

/** Which row of the distances' embedding stands between each two tokens of a text, int64 [length, length]; the query's place less the key's. */
function relativeRows(length: number, config: DebertaConfig, device: string): Tensor {
  const span = positionRows(config) / 2;
  return scope(() => {
    const places = ops.arange(length, { dtype: "int64" });
    const apart = places.unsqueeze(1).sub(places.unsqueeze(0));
    const bucket = distanceBuckets(length, config).index_select(0, apart.abs().flatten()).view([length, length]);
    return bucket
      .mul(apart.sign())
      .add(span)
      .clamp(0, 2 * span - 1)
      .to(device, "int64");
  });
}

/**
 * Final hidden states [T, hidden] of texts laid flat one after another, without padding: `ids` int64 [T], `lengths` those of the texts,
 * of sum T. Each text sees itself only. Nothing is kept for a backward.
 */
export function debertaStates(model: Deberta, ids: Tensor, lengths: readonly number[]): Tensor {
  const { config, prefix, parameters } = model;
  const { heads, headDim, terms, sharedProjections, hiddenSize } = config;
  const weight = (name: string) => parameters.get(`${prefix}${name}`)!;
  const layerNorm = (x: Tensor, name: string) =>
    ops.layer_norm(x, [hiddenSize], weight(`${name}.weight`), weight(`${name}.bias`), config.normEpsilon);
  const project = (x: Tensor, names: readonly string[], residual: Tensor | null = null) =>
    linears(
      x,
      names.map((name) => ({ weight: weight(`${name}.weight`), bias: weight(`${name}.bias`), residual })),
    );
  /** [rows, heads * headDim] -> [heads, rows, headDim] */
  const perHead = (x: Tensor) => x.view([-1, heads, headDim]).transpose(0, 1);

  const stored = weight("encoder.rel_embeddings.weight");
  const positions = config.normedPositions ? layerNorm(stored, "encoder.LayerNorm") : stored;
  const rows = new Map([...new Set(lengths)].map((length) => [length, relativeRows(length, config, ids.device)]));
  const scale = 1 / Math.sqrt(headDim * (1 + terms.length));

  /** Of one text: q, k, v [heads, L, headDim] -> [L, heads * headDim]. */
  function attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positionKeys: Tensor | null,
    positionQueries: Tensor | null,
  ): Tensor {
    const length = q.shape[1]!;
    const index = rows.get(length)!.unsqueeze(0).expand([heads, length, length]);
    let scores = q.bmm(k.transpose(1, 2));
    if (positionKeys !== null) scores = scores.add_(ops.gather(q.bmm(positionKeys.transpose(1, 2)), 2, index));
    if (positionQueries !== null) scores = scores.add_(ops.gather(positionQueries.bmm(k.transpose(1, 2)), 1, index));
    return scores
      .softmax(-1)
      .bmm(v)
      .transpose(0, 1)
      .reshape([length, heads * headDim]);
  }

  function layer(x: Tensor, index: number): Tensor {
    const name = (part: string) => `${layerName(index)}.${part}`;
    const self = (part: string) => name(`attention.self.${part}_proj`);
    const [q, k, v] = project(x, ["query", "key", "value"].map(self)) as [Tensor, Tensor, Tensor];
    const projected = (term: "c2p" | "p2c", shared: string, own: string) =>
      terms.includes(term) ? perHead(project(positions, [self(sharedProjections ? shared : own)])[0]!) : null;
    const keys = projected("c2p", "key", "pos_key");
    const queries = projected("p2c", "query", "pos_query")?.mul(scale) ?? null;
    const scaled = q.mul(scale);
    let start = 0;
    const attended = lengths.map((length) => {
      const [own, ...others] = [scaled, k, v].map((all) => perHead(all.narrow(0, start, length)));
      start += length;
      return scope(() => attend(own!, others[0]!, others[1]!, keys, queries));
    });
    const whole = attended.length === 1 ? attended[0]! : ops.cat(attended);
    const read = layerNorm(project(whole, [name("attention.output.dense")], x)[0]!, name("attention.output.LayerNorm"));
    const wide = ops.gelu(project(read, [name("intermediate.dense")])[0]!);
    return layerNorm(project(wide, [name("output.dense")], read)[0]!, name("output.LayerNorm"));
  }

  let x = embedding(weight("embeddings.word_embeddings.weight"), ids);
  if (config.segments > 0) x = x.add(weight("embeddings.token_type_embeddings.weight").select(0, 0));
  x = layerNorm(x, "embeddings.LayerNorm");
  for (let index = 0; index < config.layers; index++) {
    const input = x;
    x = scope(() => layer(input, index));
    input.dispose();
  }
  return x;
}
