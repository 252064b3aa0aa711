import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";

/** This repository's folder. */
export const repository = join(import.meta.dirname, "../../..");

/**
 * A child must be a plain Node process to be killed like one, or to hold nothing of a test runner: compiles rooms for it into
 * `dist` of a new folder of this name, beside the packages that they import. Gives the folder, which the caller removes.
 */
export function compileRooms(name: string, rooms: readonly string[]): string {
  const folder = join(repository, "node_modules", `.amalgam-${name}-${process.pid}`);
  for (const room of rooms) {
    const from = join(repository, "src", room);
    for (const file of readdirSync(from, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || file.endsWith(".test.ts") || file.startsWith("testing")) continue;
      mkdirSync(dirname(join(folder, "dist", room, file)), { recursive: true });
      const { outputText } = ts.transpileModule(readFileSync(join(from, file), "utf8"), {
        fileName: file,
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      });
      writeFileSync(join(folder, "dist", room, file.replace(/\.ts$/, ".js")), outputText);
    }
  }
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  return folder;
}
