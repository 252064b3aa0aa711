import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { EnvironmentError, LedgerError, makeFolder, packageFile } from "../schema/index.ts";

const recipes = packageFile("recipes");
const files = ["recipe.yaml", "prompts.jsonl", "held-out.jsonl"] as const;

/**
 * Writes a commented recipe and a few prompts into a folder, which may be new, and returns the files' paths.
 *
 * @throws LedgerError when one of the files is there already (none is touched), EnvironmentError when they can't be written.
 */
export function initRun(folder: string): string[] {
  const targets = files.map((name) => join(resolve(folder), name));
  const present = targets.find((path) => existsSync(path));
  if (present !== undefined) {
    throw new LedgerError("the file is there already, and nothing was written", {
      file: present,
      hint: "Name another folder, or move the file away first.",
    });
  }
  const written: string[] = [];
  try {
    makeFolder(folder);
    for (const [index, name] of files.entries()) {
      const target = targets[index]!;
      written.push(target);
      if (name === "recipe.yaml") writeFileSync(target, template(), { flag: "wx" });
      else copyFileSync(join(recipes, "init", name), target);
    }
  } catch (cause) {
    for (const path of written) rmSync(path, { force: true });
    throw new EnvironmentError(`the recipe can't be written: ${(cause as Error).message}`, {
      file: resolve(folder),
      cause,
      hint: "Name a folder in a place where you may write and the disk is not full.",
    });
  }
  return targets;
}

/** The recipe to begin with, its schema named where editors find it. */
function template(): string {
  const text = readFileSync(join(recipes, "init", "recipe.yaml"), "utf8");
  return text.replace("$schema=../recipe.schema.json", `$schema=${join(recipes, "recipe.schema.json")}`);
}
