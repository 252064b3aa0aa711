import { resolve } from "node:path";
import { embeddedIdentity, embeddedSource } from "../generation/index.ts";
import { loadFiles, type ModelFiles, modelIdentity } from "../models/index.ts";
import {
  type AnyIterable,
  contentKey,
  type DataError,
  type EndpointRecipe,
  type ModelRecipe,
  type PriceRecipe,
  type SampleRequest,
  type Source,
  type SourceRecipe,
  type Thinking,
} from "../schema/index.ts";
import { type Budget, endpointIdentity, openEndpoint, openRecorded, recordedIdentity } from "../sources/index.ts";
import { skippedWords } from "./prompts.ts";
import type { Run } from "./run.ts";

/** A source whose weights are loaded only if something has to be drawn from it. */
export interface LazySource {
  readonly name: string;
  readonly identity: string;
  /** Embedded models go one after another: each takes the memory and all cores. */
  readonly embedded: boolean;
  /** What a million tokens cost there, where a recipe says it. */
  readonly price?: PriceRecipe | undefined;
  /** Prompts that it is given at once, where it takes all its requests before it gives the first response. */
  readonly together?: number;
  open(): Promise<Source>;
}

/** An embedded model; its weights are read when something is drawn from it. */
export function lazyModel(
  name: string,
  files: ModelFiles,
  recipe: Pick<ModelRecipe, "precision" | "device"> & { readonly thinking: Thinking },
): LazySource {
  return {
    name,
    identity: embeddedIdentity({ identity: modelIdentity(files, recipe), tokenizer: files.tokenizer }, recipe.thinking),
    embedded: true,
    // Their tokens are held, and the last of them leave the batch half empty.
    together: 2048,
    open: async () => embeddedSource(name, loadFiles(files, recipe), recipe.thinking),
  };
}

/** What a source is made of: of its recipe, all but how it is sampled from. */
type Sourced = SourceRecipe extends infer Kind ? (Kind extends SourceRecipe ? Omit<Kind, "sampling"> : never) : never;

/** A source of the recipe; what an endpoint spends goes to `budget`. */
export async function lazySource(
  run: Pick<Run, "model" | "baseFolder" | "listener">,
  recipe: Sourced,
  budget: Budget | undefined,
): Promise<LazySource> {
  const { name } = recipe;
  if ("recorded" in recipe) {
    const { file, ...part } = recipe.recorded;
    const path = resolve(run.baseFolder, file);
    const known = await recordedIdentity(path, part);
    const open = once(async () => {
      const skipped: DataError[] = [];
      const opened = await openRecorded(name, path, part, { known, skip: (bad) => skipped.push(bad) });
      const words = skippedWords(skipped);
      if (words !== undefined) run.listener.notice(`${name}: ${words}`);
      return opened;
    });
    return { name, identity: known, embedded: false, together: 65_536, open };
  }
  const source = "model" in recipe ? lazyModel(name, await run.model(recipe), recipe) : lazyEndpoint(recipe.endpoint);
  return recipe.system === undefined ? source : withSystem(source, recipe.system);

  function lazyEndpoint(endpoint: EndpointRecipe): LazySource {
    const notice = (text: string) => run.listener.notice(text);
    const options = { notice, ...(budget === undefined ? {} : { budget }) };
    const open = async () => openEndpoint(name, endpoint, options);
    return { name, identity: endpointIdentity(endpoint), embedded: false, price: endpoint.price, open };
  }
}

/** What was opened once stays open: the rows of a recording are checked a single time. */
function once<Value>(work: () => Promise<Value>): () => Promise<Value> {
  let done: Promise<Value> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

/** The source, asked with a system message where a prompt has none: another source by its identity. */
function withSystem(source: LazySource, system: string): LazySource {
  const identity = contentKey({ identity: source.identity, system });
  return {
    ...source,
    identity,
    async open() {
      const opened = await source.open();
      return {
        name: opened.name,
        identity,
        sample: (requests, sampling, signal) => opened.sample(prefixed(requests, system), sampling, signal),
        close: () => opened.close(),
      };
    },
  };
}

async function* prefixed(requests: AnyIterable<SampleRequest>, system: string): AsyncGenerator<SampleRequest> {
  for await (const request of requests)
    yield request.messages[0]?.role === "system"
      ? request
      : { ...request, messages: [{ role: "system", content: system }, ...request.messages] };
}
