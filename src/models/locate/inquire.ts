import { ModelError } from "../../schema/index.ts";
import { chooseFolderFiles } from "./folder-files.ts";
import { locateHub } from "./hub.ts";
import { hubClient } from "./hub-client.ts";
import { hubConfig } from "./hub-config.ts";
import { fileMissing, listRepository, resolveCommit } from "./hub-listing.ts";
import { locatePath, missingPath } from "./local.ts";
import type { Located, LocateOptions } from "./located.ts";
import { locatePackage } from "./package-fetch.ts";
import { modelPackages } from "./packages.ts";
import { type HubReference, parseReference } from "./reference.ts";

/** Whether a model stands on this machine; else how much there is to fetch. */
export type Inquiry =
  | { readonly state: "here"; readonly located: Located }
  /** `bytes` is undefined where nobody may be asked. */
  | { readonly state: "elsewhere"; readonly bytes: number | undefined };

/**
 * Looks for the model that a recipe names without fetching it; asks the hub for its size unless offline.
 * Throws ModelError when there is no such model, EnvironmentError when the hub can't be asked.
 */
export async function inquireModel(reference: string, options: LocateOptions): Promise<Inquiry> {
  const environment = options.environment ?? process.env;
  const offline = { ...options, offline: true };
  const parsed = parseReference(reference);
  if (parsed.kind === "package") {
    const known = Object.hasOwn(modelPackages, parsed.name) ? modelPackages[parsed.name] : undefined;
    if (known === undefined) return here(await locatePackage(parsed.name, offline));
    return locatePackage(parsed.name, offline).then(
      here,
      elsewhere(async () => known.bytes),
    );
  }
  const found = parsed.kind === "hub" ? undefined : await locatePath(parsed.path, options.baseFolder, environment);
  if (found !== undefined) return here(found);
  if (parsed.kind === "path") throw await missingPath(parsed.path, options.baseFolder, environment);
  const hub = parsed.kind === "hub" ? parsed : parsed.hub;
  return locateHub(hub, offline).then(
    here,
    elsewhere(() => hubBytes(hub, options)),
  );
}

const here = (located: Located): Inquiry => ({ state: "here", located });

/** Not on this machine counts as elsewhere; any other error stays one. */
const elsewhere =
  (size: () => Promise<number | undefined>) =>
  async (error: unknown): Promise<Inquiry> => {
    if (!(error instanceof ModelError)) throw error;
    return { state: "elsewhere", bytes: await size() };
  };

async function hubBytes(reference: HubReference, options: LocateOptions): Promise<number | undefined> {
  const config = await hubConfig(options.environment ?? process.env, options.offline === true);
  if (config.offline) return undefined;
  const client = hubClient(config);
  try {
    const commit = await resolveCommit(client, config, reference);
    const { id, file } = reference;
    const under = file?.includes("/") === true ? file.slice(0, file.lastIndexOf("/")) : undefined;
    const files = await listRepository(client, config, reference, commit, under);
    const names = files.map(({ name }) => name);
    if (file !== undefined) return files.find(({ name }) => name === file)?.bytes ?? fileMissing(id, file, names);
    const { companions, weights } = chooseFolderFiles(names, id, (name) => `${id}:${name}`);
    // Which shards the index names is known once it is fetched: they are all of the folder, in repositories as published.
    const wanted = (name: string) =>
      companions.includes(name) ||
      (weights.kind === "single"
        ? name === weights.file
        : name === weights.file || /^model-.*\.safetensors$/.test(name));
    return files.reduce((sum, { name, bytes }) => sum + (wanted(name) ? bytes : 0), 0);
  } finally {
    await client.close();
  }
}
