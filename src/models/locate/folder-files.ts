import { z } from "zod";
import { ModelError } from "../../schema/index.ts";
import { isSafeRelativePath } from "./reference.ts";

/** Everything besides the weights that a model folder may hold and that is read when it does. */
const companions = new Set([
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "tokenizer.model",
  "spiece.model",
  "spm.model",
  "chat_template.jinja",
  "chat_template.json",
]);

const indexName = "model.safetensors.index.json";
const singleName = "model.safetensors";

/** What is to be read of a folder; the shards are those that the index names, in the order of their names. */
export interface FolderFiles {
  readonly companions: readonly string[];
  readonly weights:
    | { readonly kind: "single"; readonly file: string }
    | { readonly kind: "index"; readonly file: string };
}

/**
 * Chooses the files of a Hugging Face model folder from the names that stand in it (folder or repository listing).
 * `where` stands in the errors; `ggufReference` tells how a GGUF file beside it is named.
 * Throws ModelError when there is no config.json, or no safetensors weights: pickles (.bin) are never read.
 */
export function chooseFolderFiles(
  names: readonly string[],
  where: string,
  ggufReference: (file: string) => string,
): FolderFiles {
  const ggufs = names.filter((name) => /\.gguf$/i.test(name));
  const pickles = names.filter((name) => /\.(bin|pt|pth|ckpt)$/i.test(name));
  const indexed = names.includes(indexName);
  const hasWeights = indexed || names.includes(singleName);

  if (!hasWeights && ggufs.length > 0) {
    throw new ModelError(`${where} holds GGUF files: name one of them`, {
      hint: `For example: ${ggufs.slice(0, 6).map(ggufReference).join(", ")}`,
    });
  }
  if (!names.includes("config.json")) {
    const adapter = names.includes("adapter_config.json");
    throw new ModelError(`${where} has no config.json${adapter ? ": it is a LoRA adapter, not a model" : ""}`, {
      hint: adapter ? "Merge the adapter into its base model first." : listing(names),
    });
  }
  if (!hasWeights && pickles.length > 0) {
    throw new ModelError(`${where} has its weights only as pickles (${pickles.slice(0, 3).join(", ")})`, {
      hint: "A pickle can run code when it is read, so Amalgam reads safetensors only: convert it, or take a repository or revision that has model.safetensors.",
    });
  }
  if (!hasWeights) {
    throw new ModelError(`${where} has neither ${singleName} nor ${indexName}`, { hint: listing(names) });
  }
  return {
    companions: names.filter((name) => companions.has(name)),
    weights: indexed ? { kind: "index", file: indexName } : { kind: "single", file: singleName },
  };
}

const indexHint = "The index is damaged: fetch the model again.";

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** The shards that a `model.safetensors.index.json` names. Throws ModelError when it is broken or points outside its folder. */
export function shardsOfIndex(text: string, file: string): string[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ModelError("the index of the safetensors shards is not JSON", { file, cause, hint: indexHint });
  }
  const index = indexSchema.safeParse(json);
  if (!index.success) {
    throw new ModelError("the index of the safetensors shards has no weight_map of names", {
      file,
      cause: index.error,
      hint: indexHint,
    });
  }
  const shards = [...new Set(Object.values(index.data.weight_map))].sort();
  if (shards.length === 0) throw new ModelError("the index names no safetensors shard", { file, hint: indexHint });
  for (const shard of shards) {
    if (isSafeRelativePath(shard) && shard.endsWith(".safetensors")) continue;
    throw new ModelError(`the index names "${shard}", which is no safetensors file of its folder`, {
      file,
      hint: indexHint,
    });
  }
  return shards;
}

/** Throws ModelError for one part of a GGUF that was split into several files. */
export function refuseSplitGguf(file: string): void {
  const split = /-(\d{5})-of-(\d{5})\.gguf$/i.exec(file);
  if (split === null || Number(split[2]) <= 1) return;
  throw new ModelError(`${file} is part ${Number(split[1])} of a GGUF split into ${Number(split[2])} files`, {
    hint: "Join the parts first (llama.cpp: gguf-split --merge), or take a quantisation that is one file.",
  });
}

function listing(names: readonly string[]): string {
  const wanted = "A model holds config.json, tokenizer.json and *.safetensors files.";
  if (names.length === 0) return `It is empty. ${wanted}`;
  return `It holds ${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}. ${wanted}`;
}
