import { realpathSync } from "node:fs";
import { resolve, sep } from "node:path";
import { Engine, type EngineSettings } from "../generation/index.ts";
import {
  disposeAdapters,
  disposeModel,
  type LoadedModel,
  type LocateOptions,
  openModel,
  readAdapters,
} from "../models/index.ts";
import { contentKey, ModelError, type ModelRecipe, modelSchema, RequestError } from "../schema/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { ApiError, badRequest } from "./api-error.ts";

/** A model under the name that clients know it by. */
export interface ServedModel extends Pick<LoadedModel, "decoder" | "tokenizer" | "label"> {
  readonly name: string;
  /** The model that it adapts, by its name. */
  readonly parent: string | undefined;
  /** Tells clients when the answers to a seed may have changed. */
  readonly fingerprint: string;
  /** Unix seconds. */
  readonly created: number;
  readonly engine: Engine;
  /** Bytes of the longest token. */
  readonly longestToken: number;
}

/** A folder of adapters, as PEFT writes it, on a model that is served. */
export interface AdapterSettings {
  readonly name: string;
  readonly folder: string;
  /** Name of the model; undefined where only one is served. */
  readonly model: string | undefined;
}

export interface ServedModelSettings {
  readonly models: readonly {
    readonly name: string;
    readonly recipe: Partial<ModelRecipe> & Pick<ModelRecipe, "model">;
  }[];
  readonly adapters: readonly AdapterSettings[];
  /** Where adapters that a client names may lie; undefined: clients may load none. */
  readonly adapterRoot: string | undefined;
  /** Of each model, and of each adapter. */
  readonly engine: EngineSettings;
}

/** A model in use: it stays until it is released, whatever is unloaded meanwhile. */
export interface ModelUse {
  readonly model: ServedModel;
  release(): void;
}

export interface ServedModels {
  list(): ServedModel[];
  /** @throws ApiError 404 for a name that is not served */
  get(name: string): ServedModel;
  /** @throws ApiError 404 for a name that is not served */
  use(name: string): ModelUse;
  /** Loads adapters that a client names. @throws ApiError where that is not allowed, or they can't be read */
  loadAdapter(adapter: AdapterSettings): ServedModel;
  /** Takes adapters away: what uses them ends first. @throws ApiError for a name that is no adapter's */
  unloadAdapter(name: string): void;
  close(): Promise<void>;
}

interface Entry {
  readonly model: ServedModel;
  uses: number;
  unloaded: boolean;
  /** Frees what is the model's own. */
  readonly free: () => Promise<void>;
}

/** Opens every model and adapter. @throws ModelError for one that can't be read, or a name that stands twice */
export async function openServedModels(settings: ServedModelSettings, locating: LocateOptions): Promise<ServedModels> {
  const entries = new Map<string, Entry>();
  const bases = new Map<string, Entry>();

  const put = (entry: Entry) => {
    const { name } = entry.model;
    entries.set(name, entry);
    return entry;
  };
  const checkFree = (name: string) => {
    if (entries.has(name))
      throw new ModelError(`two models are to be served as ${name}`, { hint: "Give them different names." });
  };

  const addBase = async (name: string, given: ServedModelSettings["models"][number]["recipe"]) => {
    checkFree(name);
    const loaded = await openModel(modelSchema.parse(given), locating);
    const engine = new Engine(loaded.decoder, settings.engine);
    const { decoder, tokenizer, label, identity } = loaded;
    const free = async () => {
      await engine.close();
      disposeModel(loaded);
    };
    const longestToken = longestOf(tokenizer);
    const model = {
      ...{ name, decoder, tokenizer, label, engine, longestToken },
      parent: undefined,
      ...stamp(identity),
    };
    bases.set(name, put({ model, uses: 0, unloaded: false, free }));
  };

  const addAdapter = ({ name, folder, model: parent }: AdapterSettings): ServedModel => {
    checkFree(name);
    const base = parent === undefined && bases.size === 1 ? [...bases.values()][0] : bases.get(parent ?? "");
    if (base === undefined)
      throw new ModelError(
        parent === undefined
          ? `which model does the adapter ${name} adapt?`
          : `there is no model ${parent} for the adapter ${name}`,
        { hint: `These are served: ${[...bases.keys()].join(", ")}.` },
      );
    const { decoder, tokenizer, label, fingerprint, longestToken } = base.model;
    const adapters = readAdapters(folder, decoder.config);
    const adapted = { ...decoder, adapters };
    const engine = new Engine(adapted, settings.engine);
    const free = async () => {
      await engine.close();
      disposeAdapters(adapters);
    };
    const model = {
      ...{
        name,
        decoder: adapted,
        tokenizer,
        engine,
        longestToken,
        label: `${label} with ${folder}`,
        parent: base.model.name,
      },
      ...stamp(contentKey({ fingerprint, folder, loaded: Date.now() })),
    };
    return put({ model, uses: 0, unloaded: false, free }).model;
  };

  const find = (name: string): Entry => {
    const entry = entries.get(name);
    if (entry !== undefined) return entry;
    throw new ApiError(404, `the model \`${name}\` is not served here: ${[...entries.keys()].join(", ")}`, {
      param: "model",
      code: "model_not_found",
    });
  };

  const close = async () => {
    // Adapters before the weights that they share.
    const all = [...entries.values()].reverse();
    entries.clear();
    for (const { free } of all) await free();
  };

  try {
    for (const { name, recipe } of settings.models) await addBase(name, recipe);
    for (const adapter of settings.adapters) addAdapter(adapter);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    list: () => [...entries.values()].map(({ model }) => model),
    get: (name) => find(name).model,
    use(name) {
      const entry = find(name);
      entry.uses += 1;
      let released = false;
      return {
        model: entry.model,
        release() {
          if (released) return;
          released = true;
          entry.uses -= 1;
          if (entry.unloaded && entry.uses === 0) void entry.free();
        },
      };
    },
    loadAdapter(adapter) {
      const folder = allowedFolder(settings.adapterRoot, adapter.folder);
      if (entries.has(adapter.name))
        throw badRequest(`a model \`${adapter.name}\` is served already: unload it first`, "lora_name");
      try {
        return addAdapter({ ...adapter, folder });
      } catch (error) {
        if (error instanceof ModelError || error instanceof RequestError) throw badRequest(error.message, "lora_path");
        throw error;
      }
    },
    unloadAdapter(name) {
      const entry = find(name);
      if (entry.model.parent === undefined)
        throw badRequest(`\`${name}\` is a model and no adapter: it stays as long as the server`, "lora_name");
      entries.delete(name);
      entry.unloaded = true;
      if (entry.uses === 0) void entry.free();
    },
    close,
  };
}

function longestOf(tokenizer: Tokenizer): number {
  let longest = 1;
  for (let id = 0; id < tokenizer.vocabularySize; id++) longest = Math.max(longest, tokenizer.tokenBytes(id).length);
  return longest;
}

const stamp = (identity: string) => ({
  fingerprint: `fp_${identity.slice(0, 12)}`,
  created: Math.floor(Date.now() / 1000),
});

/** A client's folder, where it lies inside of `root`, links followed. */
function allowedFolder(root: string | undefined, folder: string): string {
  if (root === undefined)
    throw new ApiError(403, "this server loads no adapters for clients: it was started without --adapter-root");
  let real: string;
  try {
    real = realpathSync(resolve(root, folder));
  } catch {
    throw badRequest("there is no such folder below the server's --adapter-root", "lora_path");
  }
  if (!real.startsWith(`${realpathSync(root)}${sep}`))
    throw badRequest("there is no such folder below the server's --adapter-root", "lora_path");
  return real;
}
