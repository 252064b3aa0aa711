import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const repository = join(import.meta.dirname, "..");
const entries = [
  "cli/main",
  ...["models", "nn", "objectives", "pipeline", "schema", "training"].map((room) => `${room}/index`),
];

/**
 * Joins the modules of the product as built into a few: a process of it then starts in a third of the time, which counts where tests
 * kill one after another. Gives the folder of the rooms, and what removes it; undefined where nothing is built.
 */
export async function bundleProduct(): Promise<{ folder: string; remove: () => void } | undefined> {
  const built = join(repository, "dist");
  if (!existsSync(join(built, "cli/main.js"))) return undefined;
  // Among the packages, beside `native` and the recipes: modules look for both from where they stand.
  const root = mkdtempSync(join(repository, "node_modules", ".amalgam-bundled-"));
  for (const name of ["native", "package.json", "recipes"]) symlinkSync(join(repository, name), join(root, name));
  const folder = join(root, "dist");
  const input = Object.fromEntries(entries.map((entry) => [entry, join(built, `${entry}.js`)]));
  // The sandbox starts its thread from the file beside its own. The server's is not here: `serve` is tested as published.
  input["chunks/thread"] = join(built, "rewards/sandbox/thread.js");
  const bundle = await rolldown({ input, platform: "node", external: ["libsql", "pg"] });
  await bundle.write({ dir: folder, entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js" });
  await bundle.close();
  return { folder, remove: () => rmSync(root, { recursive: true, force: true }) };
}
