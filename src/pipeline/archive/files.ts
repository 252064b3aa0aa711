import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Recipe } from "../../schema/index.ts";

/** What Amalgam writes into a run folder beside the ledger. */
const ofTheRun = [
  ...["recipe.yaml", "recipe.written.yaml", "seed.json", "report.html"],
  ...["checkpoints", "datasets", "metrics", "models", "profiles"],
];
const models = new Set(["checkpoints", "models"]);

/** Names of what is being written or removed. */
const passing = /\.(partial|removed)$/;

/**
 * Paths of the files of a run beside its ledger, below its folder and in order: what Amalgam writes there, and what lies there and
 * the recipe names (prompts, recorded responses). Nothing else of the folder.
 */
export function runFiles(folder: string, recipe: Recipe | undefined, withModels: boolean): string[] {
  const roots = [...ofTheRun.filter((name) => withModels || !models.has(name)), ...namedPaths(recipe)];
  return [...new Set(roots.flatMap((root) => filesBelow(folder, root)))].sort();
}

/** A resolved recipe begins the paths of what lies in its run folder with "./". */
function namedPaths(value: unknown): string[] {
  if (typeof value === "string") return value.startsWith("./") ? [value.slice(2)] : [];
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(namedPaths) : [];
}

function filesBelow(folder: string, path: string): string[] {
  const found = statSync(join(folder, path), { throwIfNoEntry: false });
  if (found?.isFile() === true) return [path];
  if (found?.isDirectory() !== true) return [];
  return readdirSync(join(folder, path))
    .filter((name) => !passing.test(name))
    .flatMap((name) => filesBelow(folder, `${path}/${name}`));
}

/** Copies a file. Weights, which nobody changes in place, share their bytes on the disk where it can. */
export function copyFile(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  if (from.endsWith(".safetensors")) {
    try {
      linkSync(from, to);
      return;
    } catch {
      // Another disk, or a file system without links.
    }
  }
  copyFileSync(from, to);
}

/** Copies a file or folder. */
export function copyAll(from: string, to: string): void {
  if (!statSync(from).isDirectory()) {
    copyFile(from, to);
    return;
  }
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) copyAll(join(from, name), join(to, name));
}

/** Whether nothing is at this path, or an empty folder. */
export const isFree = (path: string): boolean =>
  !existsSync(path) || (statSync(path).isDirectory() && readdirSync(path).length === 0);
