// Brings a fresh clone to where the product runs: packages from the lock file, then the build. Does nothing twice.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

process.chdir(new URL("..", import.meta.url).pathname);
const lock = createHash("sha256").update(readFileSync("package-lock.json")).digest("hex");
const mark = "node_modules/.amalgam-lock";

if (!existsSync(mark) || readFileSync(mark, "utf8") !== lock) {
  console.log("installing packages (npm install) ...");
  // Not `npm ci`: it refuses a lock file that lacks the packages of other platforms, which not every registry carries.
  const npm = spawnSync("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"], {
    stdio: "inherit",
  });
  if (npm.status !== 0) process.exit(npm.status ?? 1);
  writeFileSync(mark, lock);
}
console.log("building ...");
try {
  execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
} catch {
  process.exit(1);
}
