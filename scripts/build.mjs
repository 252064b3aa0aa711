// Makes `dist` of `src`: the modules joined into few files, beside them the types of each. What starts Node reads 40 files then and not
// 1,500, those of most packages among them, and so begins in a third of the time (docs/decisions/038).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { rolldown } from "rolldown";

process.chdir(new URL("..", import.meta.url).pathname);

/** What may be named from outside: the rooms, the program, and the files that threads begin from. */
const entries = [
  "index",
  "cli/main",
  "rewards/sandbox/thread",
  "server/engine/thread",
  ...readdirSync("src").flatMap((room) => (existsSync(`src/${room}/index.ts`) ? [`${room}/index`] : [])),
];
/** These have parts that are compiled for each machine, or are looked for when they are used. */
const external = ["libsql", "pg"];

rmSync("dist", { recursive: true, force: true });
// Types are checked by `npm run check`: without that, they are written in half the time.
const types = once(
  spawn(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--noCheck"], {
    stdio: "inherit",
  }),
  "exit",
);
const input = Object.fromEntries(entries.map((entry) => [entry, `src/${entry}.ts`]));
const bundle = await rolldown({ input, platform: "node", external, tsconfig: false });
await bundle.write({
  dir: "dist",
  entryFileNames: "[name].js",
  chunkFileNames: "chunks/[name]-[hash].js",
  sourcemap: true,
});
await bundle.close();
const [code] = await types;
process.exitCode = code;
