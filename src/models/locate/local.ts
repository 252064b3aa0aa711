import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { didYouMean, expandHome, ModelError } from "../../schema/index.ts";
import { errorCode } from "./disk.ts";
import { chooseFolderFiles, refuseSplitGguf, shardsOfIndex } from "./folder-files.ts";
import type { Located } from "./located.ts";
import { referenceHint } from "./reference.ts";

/**
 * The model at a path relative to `baseFolder`, or undefined when nothing stands there.
 * Throws ModelError when what stands there is no model.
 */
export async function locatePath(
  path: string,
  baseFolder: string,
  environment: NodeJS.ProcessEnv,
): Promise<Located | undefined> {
  const full = resolve(baseFolder, expandHome(path, environment));
  const found = await stat(full).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw new ModelError(`${full} can't be read (${errorCode(error) ?? "unknown reason"})`, { cause: error });
  });
  if (found === undefined) return undefined;
  if (found.isDirectory()) return { path: await checkFolder(full), kind: "folder", label: path };
  if (!/\.gguf$/i.test(full)) {
    throw new ModelError(`${full} is neither a folder nor a .gguf file`, {
      hint: /\.(safetensors|json|bin)$/i.test(full) ? `Name its folder: ${dirname(full)}` : referenceHint,
    });
  }
  refuseSplitGguf(full);
  return { path: full, kind: "gguf", label: path };
}

/** The error for a path where nothing stands: what was looked for, and what stands beside it. */
export async function missingPath(
  path: string,
  baseFolder: string,
  environment: NodeJS.ProcessEnv,
): Promise<ModelError> {
  const full = resolve(baseFolder, expandHome(path, environment));
  const siblings = await readdir(dirname(full)).catch(() => []);
  return new ModelError(`there is no model "${path}": looked for a folder or .gguf file at ${full}`, {
    hint: `${didYouMean(basename(full), siblings)}${referenceHint}`,
  });
}

async function checkFolder(folder: string): Promise<string> {
  const names = await readdir(folder);
  const { weights } = chooseFolderFiles(names, folder, (file) => join(folder, file));
  if (weights.kind === "single") return folder;
  const index = join(folder, weights.file);
  const missing = [];
  for (const shard of shardsOfIndex(await readFile(index, "utf8"), index)) {
    if (!(await isFile(join(folder, shard)))) missing.push(shard);
  }
  if (missing.length > 0) {
    throw new ModelError(
      `${folder} lacks ${missing.length} of the shards that its index names: ${missing.slice(0, 4).join(", ")}`,
      {
        hint: "The folder was copied or downloaded in part: complete it.",
      },
    );
  }
  return folder;
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
