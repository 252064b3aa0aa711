import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ModelError } from "../schema/index.ts";
import type { Tensor } from "../torch/index.ts";
import { bytesOf, noGrad, ops, releasePages, scope } from "../torch/index.ts";
import { readSafetensorsHeader } from "./safetensors-header.ts";

export interface Safetensors {
  /** The files that the tensors lie in. */
  readonly files: readonly string[];
  /**
   * Views of the mapped files: a change in place stays in this process. They are valid while the files are not changed
   * in place; a file that is replaced by a rename leaves them as they were.
   */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Lets the pages of such a view leave memory, after it was copied; they are read again where they are needed. */
  release(view: Tensor): void;
  /** The free texts of the header, of all files together. */
  readonly metadata: Readonly<Record<string, string>>;
}

function openFile(file: string): Safetensors {
  const { tensors: stored, metadata, fileBytes } = readSafetensorsHeader(file);
  const mappedViews = new WeakSet<Tensor>();
  const tensors = scope(() =>
    noGrad(() => {
      const mapped = ops.from_file(file, false, fileBytes, { dtype: "uint8" });
      const views = new Map<string, Tensor>();
      for (const [name, { dtype, shape, begin, bytes }] of stored) {
        const raw = mapped.narrow(0, begin, bytes);
        // The format does not align tensors to their element size; libtorch wants it so.
        const isAligned = begin % bytesOf(dtype) === 0;
        const view = (isAligned ? raw : raw.clone()).view(dtype).view(shape);
        if (isAligned) mappedViews.add(view);
        views.set(name, view);
      }
      return views;
    }),
  );
  const release = (view: Tensor) => {
    if (mappedViews.has(view)) releasePages(view);
  };
  return { files: [file], tensors, release, metadata };
}

const indexSchema = z.looseObject({
  weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+$/, "a shard is named by a file name, without folders")),
});

function readIndex(file: string): Readonly<Record<string, string>> {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ModelError("the index of the safetensors shards is no readable JSON", { file, cause: error });
  }
  const parsed = indexSchema.safeParse(raw);
  if (parsed.success) return parsed.data.weight_map;
  const { path, message } = parsed.error.issues[0]!;
  throw new ModelError(`the index of the safetensors shards is wrong: ${message}`, { file, field: path.join(".") });
}

function openShards(folder: string, index: string): Safetensors {
  const map = readIndex(index);
  const names = [...new Set(Object.values(map))].sort();
  for (const name of names)
    if (!existsSync(join(folder, name)))
      throw new ModelError(`the shard ${name}, which the index names, is missing`, {
        file: index,
        hint: "The download or copy is incomplete.",
      });
  const shards = new Map(names.map((name) => [name, openFile(join(folder, name))]));
  const tensors = new Map<string, Tensor>();
  for (const [tensor, name] of Object.entries(map)) {
    const found = shards.get(name)?.tensors.get(tensor);
    if (found === undefined)
      throw new ModelError(`the index places it in ${name}, which lacks it`, { file: index, field: tensor });
    tensors.set(tensor, found);
  }
  const metadata = Object.assign({}, ...[...shards.values()].map((shard) => shard.metadata));
  const release = (view: Tensor) => {
    for (const shard of shards.values()) shard.release(view);
  };
  return { files: names.map((name) => join(folder, name)), tensors, release, metadata };
}

/**
 * The tensors of a safetensors file or of a model folder (one file, or shards of which the index says what to take from
 * where), mapped into memory and not copied.
 *
 * @throws ModelError for a missing or damaged file, with the tensor where one is at fault.
 */
export function openSafetensors(path: string): Safetensors {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return openFile(path);
  const single = join(path, "model.safetensors");
  if (existsSync(single)) return openFile(single);
  const index = join(path, "model.safetensors.index.json");
  if (existsSync(index)) return openShards(path, index);
  throw new ModelError("the folder has neither model.safetensors nor model.safetensors.index.json", {
    file: path,
    hint: "Weights are read from safetensors only.",
  });
}
