import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/**
 * A child must be a plain Node process to be killed like one: compiles the two rooms for it, beside the packages that they
 * import, and writes the script that it runs. Gives the folder to be removed and the script's path.
 */
export function compileStore(name: string, script: string): { readonly folder: string; readonly script: string } {
  const source = join(import.meta.dirname, "../..");
  const folder = join(source, "../node_modules", `.amalgam-${name}-${process.pid}`);
  for (const room of ["schema", "store"]) {
    const from = join(source, room);
    mkdirSync(join(folder, room), { recursive: true });
    for (const file of readdirSync(from).filter((each) => each.endsWith(".ts") && !each.endsWith(".test.ts"))) {
      const { outputText } = ts.transpileModule(readFileSync(join(from, file), "utf8"), {
        fileName: file,
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      });
      writeFileSync(join(folder, room, file.replace(/\.ts$/, ".js")), outputText);
    }
  }
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "script.js"), script);
  return { folder, script: join(folder, "script.js") };
}
