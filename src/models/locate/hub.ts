import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ModelError } from "../../schema/index.ts";
import { assertSpace, withDiskErrors } from "./disk.ts";
import { chooseFolderFiles, refuseSplitGguf, shardsOfIndex } from "./folder-files.ts";
import {
  blobPath,
  cachedCommit,
  fileSize,
  isCommit,
  linkBlob,
  type RepositoryCache,
  rememberCommit,
  repositoryCache,
  snapshotFiles,
  snapshotFolder,
} from "./hub-cache.ts";
import { type HubClient, HubUnreachable, hubClient } from "./hub-client.ts";
import { type HubConfig, hubConfig } from "./hub-config.ts";
import { downloadFile, type HubFile } from "./hub-download.ts";
import { fileMissing, listRepository, resolveCommit } from "./hub-listing.ts";
import type { Located, LocateOptions } from "./located.ts";
import { withLock } from "./lock.ts";
import { type ProgressMeter, progressMeter } from "./progress.ts";
import { type HubReference, hubLabel } from "./reference.ts";

const filesAtOnce = 4;

/**
 * The model of a hub reference: from the cache that Hugging Face's tools share, after fetching into it what is
 * missing of the revision's present commit. Offline, or where the hub can't be reached, the commit that was fetched
 * last is used if it is whole. Throws ModelError or EnvironmentError; no message ever holds the token.
 */
export async function locateHub(reference: HubReference, options: LocateOptions): Promise<Located> {
  if (reference.file !== undefined) refuseSplitGguf(reference.file);
  return locateHubWith(
    reference,
    options,
    await hubConfig(options.environment ?? process.env, options.offline === true),
  );
}

/** `locateHub` with the hub's settings given. */
export async function locateHubWith(
  reference: HubReference,
  options: LocateOptions,
  config: HubConfig,
): Promise<Located> {
  const cache = repositoryCache(config.cache, reference.id);
  if (config.offline) return fromCache(reference, cache);
  if (isCommit(reference.revision)) {
    const whole = await fromCache(reference, cache).catch(() => undefined);
    if (whole !== undefined) return whole;
  }
  const client = hubClient(config);
  try {
    return await fetchModel(reference, options, config, client, cache);
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    const whole = await fromCache(reference, cache).catch(() => undefined);
    if (whole === undefined) throw error;
    return { ...whole, note: `${error.message}: the copy that was fetched before is used` };
  } finally {
    await client.close();
  }
}

/** The model as the cache holds it. Throws ModelError saying what is missing. */
async function fromCache(reference: HubReference, cache: RepositoryCache): Promise<Located> {
  const label = hubLabel(reference);
  const commit = await cachedCommit(cache, reference.revision);
  const names = commit === undefined ? [] : await snapshotFiles(cache, commit);
  if (commit === undefined || names.length === 0) {
    throw new ModelError(`${label} is not in the cache (${cache.folder}), and the hub may not be asked`, {
      hint: "Fetch it once with network access and without HF_HUB_OFFLINE.",
    });
  }
  const folder = snapshotFolder(cache, commit);
  const missing = (await neededOf(reference, label, names, folder)).filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new ModelError(
      `the cached copy of ${label} lacks ${missing.slice(0, 4).join(", ")}, and the hub may not be asked`,
      {
        hint: "Fetch it once with network access and without HF_HUB_OFFLINE; what is there already is kept.",
      },
    );
  }
  return located(reference, folder);
}

async function neededOf(
  reference: HubReference,
  label: string,
  names: readonly string[],
  folder: string,
): Promise<string[]> {
  if (reference.file !== undefined) return [reference.file];
  const { companions, weights } = chooseFolderFiles(names, label, (file) => `${reference.id}:${file}`);
  const index = join(folder, weights.file);
  const shards = weights.kind === "index" ? shardsOfIndex(await readFile(index, "utf8"), index) : [];
  return [...companions, weights.file, ...shards];
}

function located(reference: HubReference, folder: string): Located {
  const label = hubLabel(reference);
  if (reference.file === undefined) return { path: folder, kind: "folder", label };
  return { path: join(folder, reference.file), kind: "gguf", label };
}

async function fetchModel(
  reference: HubReference,
  options: LocateOptions,
  config: HubConfig,
  client: HubClient,
  cache: RepositoryCache,
): Promise<Located> {
  const label = hubLabel(reference);
  const commit = await resolveCommit(client, config, reference);
  const under = reference.file === undefined ? "." : dirname(reference.file);
  const files = await listRepository(client, config, reference, commit, under === "." ? undefined : under);
  const byName = new Map(files.map((file) => [file.name, file]));
  const listed = (name: string): HubFile => byName.get(name) ?? fileMissing(label, name, [...byName.keys()]);

  const folder = snapshotFolder(cache, commit);
  const first =
    reference.file === undefined
      ? chooseFolderFiles([...byName.keys()], label, (file) => `${reference.id}:${file}`)
      : { companions: [], weights: { kind: "single" as const, file: reference.file } };
  const wanted = [...first.companions, first.weights.file].map(listed);
  const fetchAbsent = async (all: readonly HubFile[]): Promise<void> => {
    const missing = await absent(all, cache, commit);
    if (missing.length === 0) return;
    const bytes = missing.reduce((sum, file) => sum + file.bytes, 0);
    const meter = progressMeter(label, bytes, options.progress);
    await withDiskErrors(cache.folder, bytes, label, () =>
      withLock(
        cache.lock,
        async () => {
          const rest = await absent(missing, cache, commit);
          await assertSpace(cache.folder, await bytesToFetch(rest, cache), label);
          meter.set("download", bytes - rest.reduce((sum, file) => sum + file.bytes, 0));
          await fetchAll(distinct(rest), (file) => fetchBlob(file, reference, commit, config, client, cache, meter));
          for (const file of rest) await linkBlob(cache, commit, file.name, file.digest.hex);
        },
        () => meter.set("wait", 0),
      ),
    );
    meter.set("done", bytes);
  };

  await fetchAbsent(wanted);
  if (first.weights.kind === "index") {
    const index = join(folder, first.weights.file);
    const shards = shardsOfIndex(await readFile(index, "utf8"), index);
    await fetchAbsent(shards.map(listed));
  }
  if ((await cachedCommit(cache, reference.revision)) !== commit) {
    await withDiskErrors(cache.folder, 0, label, () => rememberCommit(cache, reference.revision, commit));
  }
  return located(reference, folder);
}

async function absent(files: readonly HubFile[], cache: RepositoryCache, commit: string): Promise<HubFile[]> {
  const missing = [];
  for (const file of files) {
    if ((await fileSize(join(snapshotFolder(cache, commit), file.name))) !== file.bytes) missing.push(file);
  }
  return missing;
}

async function bytesToFetch(files: readonly HubFile[], cache: RepositoryCache): Promise<number> {
  let bytes = 0;
  for (const file of files) {
    const blob = blobPath(cache, file.digest.hex);
    if ((await fileSize(blob)) !== file.bytes) bytes += file.bytes - ((await fileSize(`${blob}.incomplete`)) ?? 0);
  }
  return bytes;
}

async function fetchBlob(
  file: HubFile,
  reference: HubReference,
  commit: string,
  config: HubConfig,
  client: HubClient,
  cache: RepositoryCache,
  meter: ProgressMeter,
): Promise<void> {
  const blob = blobPath(cache, file.digest.hex);
  if ((await fileSize(blob)) === file.bytes) meter.add(file.bytes);
  else {
    const name = file.name.split("/").map(encodeURIComponent).join("/");
    const url = `${config.endpoint}/${reference.id}/resolve/${commit}/${name}`;
    await downloadFile(client, config, url, file, blob, meter.add);
  }
}

/** One file of each content: two with the same bytes share a blob. */
const distinct = (files: readonly HubFile[]): HubFile[] => [
  ...new Map(files.map((file) => [file.digest.hex, file])).values(),
];

/** Some files at a time; after a failure no new one begins, and what runs ends before the error is told. */
async function fetchAll(files: readonly HubFile[], fetchOne: (file: HubFile) => Promise<void>): Promise<void> {
  const queue = [...files];
  let failed = false;
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined && !failed; file = queue.shift()) {
      try {
        await fetchOne(file);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: filesAtOnce }, worker));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
