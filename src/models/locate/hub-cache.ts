import { randomUUID } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { errorCode } from "./disk.ts";
import { isSafeRelativePath } from "./reference.ts";

/**
 * The cache that all of Hugging Face's tools share. For the repository owner/name, under `models--owner--name`:
 * `blobs/<digest>` holds the bytes, `snapshots/<commit>/<file>` links to them, `refs/<revision>` holds the commit
 * that a branch or tag stood at when it was last fetched.
 */
export interface RepositoryCache {
  readonly folder: string;
  /** Base name of the lock that downloads into this repository take. */
  readonly lock: string;
}

export function repositoryCache(cache: string, id: string): RepositoryCache {
  const name = `models--${id.replace("/", "--")}`;
  return { folder: join(cache, name), lock: join(cache, ".locks", name, "amalgam") };
}

export const snapshotFolder = ({ folder }: RepositoryCache, commit: string): string =>
  join(folder, "snapshots", commit);
export const blobPath = ({ folder }: RepositoryCache, digest: string): string => join(folder, "blobs", digest);

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The commit of a revision when it was last fetched, or undefined. */
export async function cachedCommit({ folder }: RepositoryCache, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const text = await readFile(join(folder, "refs", revision), "utf8").catch(() => "");
  return isCommit(text.trim()) ? text.trim() : undefined;
}

/** Remembers the commit of a branch or tag. */
export async function rememberCommit({ folder }: RepositoryCache, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return;
  const path = join(folder, "refs", revision);
  await mkdir(dirname(path), { recursive: true });
  await replace(path, (temporary) => writeFile(temporary, commit));
}

/** The files of a snapshot that are really there, with `/` between folders; a link to a missing blob does not count. */
export async function snapshotFiles(cache: RepositoryCache, commit: string): Promise<string[]> {
  const folder = snapshotFolder(cache, commit);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const names = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if ((await fileSize(path)) !== undefined) names.push(relative(folder, path));
  }
  return names.sort();
}

/** Size of a regular file in bytes, through links; undefined where there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true ? found.size : undefined;
}

/** Puts a blob into a snapshot under its name, as a relative link; where links can't be made, a copy. */
export async function linkBlob(cache: RepositoryCache, commit: string, name: string, digest: string): Promise<void> {
  if (!isSafeRelativePath(name)) throw new Error(`unsafe name in a repository: ${JSON.stringify(name)}`);
  const path = join(snapshotFolder(cache, commit), name);
  const blob = blobPath(cache, digest);
  await mkdir(dirname(path), { recursive: true });
  try {
    await replace(path, (temporary) => symlink(relative(dirname(path), blob), temporary));
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errorCode(error) ?? "")) throw error;
    await replace(path, (temporary) => copyFile(blob, temporary));
  }
}

async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.new`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
