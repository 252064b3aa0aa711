import { realpathSync } from "node:fs";
import { resolve, sep } from "node:path";
import type { LocateOptions } from "../models/index.ts";
import { ModelError, type ModelRecipe, modelSchema, RequestError } from "../schema/index.ts";
import { createTokenizer, type Tokenizer } from "../tokenizers/index.ts";
import { ApiError, badRequest } from "./api-error.ts";
import type { ThreadMemory } from "./engine/messages.ts";
import { type RemoteModel, startEngineThread } from "./engine/remote.ts";

/** A model under the name that clients know it by; the engines' thread computes it. */
export interface ServedModel
  extends Pick<RemoteModel, "label" | "vocabularySize" | "maxPositions" | "room" | "submit" | "embed" | "load"> {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  /** The model that it adapts, by its name. */
  readonly parent: string | undefined;
  /** Tells clients when the answers to a seed may have changed. */
  readonly fingerprint: string;
  /** Unix seconds. */
  readonly created: number;
  /** Bytes of the longest token. */
  readonly longestToken: number;
}

/** A folder of adapters, as PEFT writes it, on a model that is served. */
export interface AdapterSettings {
  readonly name: string;
  readonly folder: string;
  /** Name of the model; undefined where only one is served. */
  readonly model: string | undefined;
  /** Memory for its keys and values; the server's `cache_mib` where not given. */
  readonly cacheMib?: number;
}

export interface ServedModelSettings {
  readonly models: readonly {
    readonly name: string;
    readonly recipe: Partial<ModelRecipe> & Pick<ModelRecipe, "model">;
    /** Memory for its keys and values; the server's `cache_mib` where not given. */
    readonly cacheMib?: number;
  }[];
  readonly adapters: readonly AdapterSettings[];
  /** Where adapters that a client names may lie; undefined: clients may load none. */
  readonly adapterRoot: string | undefined;
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
  loadAdapter(adapter: AdapterSettings): Promise<ServedModel>;
  /** Takes adapters away: what uses them ends first. @throws ApiError for a name that is no adapter's */
  unloadAdapter(name: string): void;
  /** What the engines' thread held at its last step. */
  memory(): ThreadMemory;
  /** Throws when the engines' thread ends before it is closed. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

interface Entry {
  readonly model: ServedModel;
  readonly remote: RemoteModel;
  uses: number;
  unloaded: boolean;
}

/** Prompt tokens of a step: larger steps are hardly faster, and every client that comes waits for one. */
const promptTokens = 1024;

/** What engines are given where a model says nothing of its own. */
interface Defaults {
  readonly rows: number;
  readonly cacheMib: number;
}

/** What a served model is beside what the thread knows. */
type Own = Pick<ServedModel, "name" | "tokenizer" | "parent" | "fingerprint" | "longestToken">;

/** Opens every model and adapter. @throws ModelError for one that can't be read, or a name that stands twice */
export async function openServedModels(
  settings: ServedModelSettings,
  { rows, cacheMib: defaultMib }: Defaults,
  locating: LocateOptions,
): Promise<ServedModels> {
  const thread = startEngineThread(locating);
  const entries = new Map<string, Entry>();
  const bases = new Map<string, Entry>();
  /** Names of adapters that are being read. */
  const coming = new Set<string>();
  const engineSettings = (cacheMib = defaultMib) => ({ rows, promptTokens, cacheBytes: cacheMib * 2 ** 20 });

  const isTaken = (name: string) => entries.has(name) || coming.has(name);
  const checkFree = (name: string) => {
    if (isTaken(name))
      throw new ModelError(`two models are to be served as ${name}`, { hint: "Give them different names." });
  };

  const put = (remote: RemoteModel, own: Own) => {
    const model = { ...remote, ...own, created: Math.floor(Date.now() / 1000) };
    const entry = { model, remote, uses: 0, unloaded: false };
    entries.set(own.name, entry);
    return entry;
  };

  const addBase = async ({ name, recipe, cacheMib }: ServedModelSettings["models"][number]) => {
    checkFree(name);
    const remote = await thread.open(modelSchema.parse(recipe), engineSettings(cacheMib));
    const tokenizer = createTokenizer(remote.tokenizer!);
    const own = { longestToken: longestOf(tokenizer), parent: undefined, fingerprint: stamp(remote.identity) };
    bases.set(name, put(remote, { name, tokenizer, ...own }));
  };

  const addAdapter = async ({ name, folder, model: parent, cacheMib }: AdapterSettings): Promise<ServedModel> => {
    checkFree(name);
    const base = parent === undefined && bases.size === 1 ? [...bases.values()][0] : bases.get(parent ?? "");
    if (base === undefined)
      throw new ModelError(
        parent === undefined
          ? `which model does the adapter ${name} adapt?`
          : `there is no model ${parent} for the adapter ${name}`,
        { hint: `These are served: ${[...bases.keys()].join(", ")}.` },
      );
    const { tokenizer, longestToken } = base.model;
    coming.add(name);
    try {
      const remote = await thread.adapt(base.remote, folder, engineSettings(cacheMib));
      const own = { longestToken, parent: base.model.name, fingerprint: stamp(remote.identity) };
      return put(remote, { name, tokenizer, ...own }).model;
    } finally {
      coming.delete(name);
    }
  };

  const find = (name: string): Entry => {
    const entry = entries.get(name);
    if (entry !== undefined) return entry;
    throw new ApiError(404, `the model \`${name}\` is not served here: ${[...entries.keys()].join(", ")}`, {
      param: "model",
      code: "model_not_found",
    });
  };

  try {
    for (const model of settings.models) await addBase(model);
    for (const adapter of settings.adapters) await addAdapter(adapter);
  } catch (error) {
    await thread.close();
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
          if (entry.unloaded && entry.uses === 0) void entry.remote.free();
        },
      };
    },
    async loadAdapter(adapter) {
      const folder = allowedFolder(settings.adapterRoot, adapter.folder);
      if (isTaken(adapter.name))
        throw badRequest(`a model \`${adapter.name}\` is served already: unload it first`, "lora_name");
      try {
        return await addAdapter({ ...adapter, folder });
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
      if (entry.uses === 0) void entry.remote.free();
    },
    memory: thread.memory,
    ended: thread.ended,
    close: thread.close,
  };
}

function longestOf(tokenizer: Tokenizer): number {
  let longest = 1;
  for (let id = 0; id < tokenizer.vocabularySize; id++) longest = Math.max(longest, tokenizer.tokenBytes(id).length);
  return longest;
}

const stamp = (identity: string) => `fp_${identity.slice(0, 12)}`;

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
