import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { startHub } from "../testing/hub-server.ts";
import { locateModel } from "./index.ts";

/** What huggingface_hub left for this repository: made by bench/fixtures/hub_cache.py. */
const fixture = z
  .object({
    id: z.string(),
    commit: z.string(),
    files: z.record(z.string(), z.object({ base64: z.string(), lfs: z.boolean() })),
    tree: z.record(z.string(), z.object({ base64: z.string().optional(), link: z.string().optional() })),
  })
  .parse(JSON.parse(await readFile(new URL("fixtures/hub-cache.json", import.meta.url), "utf8")));
const folderName = "models--maker--tiny-model";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "amalgam-hub-cache-"));
});
afterEach(() => rm(home, { recursive: true }));

test("what is fetched lies as huggingface_hub lays it, byte by byte and link by link", async () => {
  const files = Object.entries(fixture.files).map(([name, { base64, lfs }]) => {
    return [name, { bytes: Buffer.from(base64, "base64"), lfs }] as const;
  });
  const hub = await startHub([
    { id: fixture.id, revisions: { main: fixture.commit }, files: Object.fromEntries(files) },
  ]);
  try {
    await locateModel(fixture.id, { baseFolder: home, environment: { HF_ENDPOINT: hub.url, HF_HOME: home } });
  } finally {
    await hub.close();
  }
  const root = join(home, "hub", folderName);
  const tree: typeof fixture.tree = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) tree[relative(root, path)] = { link: await readlink(path) };
    else if (entry.isFile()) tree[relative(root, path)] = { base64: await readFile(path, "base64") };
  }
  // `trees` holds listings that newer versions of huggingface_hub keep for themselves.
  const expected = Object.entries(fixture.tree).filter(([name]) => !name.startsWith("trees/"));
  expect(tree).toEqual(Object.fromEntries(expected));
});

test.each([
  ["HF_HOME", (folder: string) => ({ HF_HOME: folder }), "hub"],
  ["HF_HUB_CACHE", (folder: string) => ({ HF_HUB_CACHE: folder, HF_HOME: "/nowhere" }), ""],
  ["XDG_CACHE_HOME", (folder: string) => ({ XDG_CACHE_HOME: folder }), "huggingface/hub"],
  ["the home folder", (folder: string) => ({ HOME: folder }), ".cache/huggingface/hub"],
])("what huggingface_hub fetched is found offline, by %s", async (_, environment, under) => {
  const root = join(home, under, folderName);
  for (const [name, { base64, link }] of Object.entries(fixture.tree)) {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    if (link === undefined) await writeFile(path, base64 ?? "", "base64");
    else await symlink(link, path);
  }
  const { path } = await locateModel(fixture.id, { baseFolder: home, offline: true, environment: environment(home) });
  expect(path).toBe(join(root, "snapshots", fixture.commit));
  for (const [name, { base64 }] of Object.entries(fixture.files)) {
    expect(await readFile(join(path, name), "base64")).toBe(base64);
  }
});
