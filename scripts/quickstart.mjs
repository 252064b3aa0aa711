// The README's first command: installs, builds, and runs recipes/quickstart.yaml into runs/quickstart.
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
console.log(
  "Quickstart: three small models, sampled, scored, fused and evaluated. 5 to 15 minutes on two cores, downloads",
);
console.log(
  "(0.8 GB of models, and libtorch where python3 has none) included. Ctrl-C stops it; the same command goes on.\n",
);
const setup = spawnSync(process.execPath, [join(root, "scripts/setup.mjs")], { stdio: "inherit" });
if (setup.status !== 0) process.exit(setup.status ?? 1);
const main = join(root, "dist/cli/main.js");
const run = ["run", join(root, "runs/quickstart"), "--recipe", join(root, "recipes/quickstart.yaml")];
const outcome = spawnSync(process.execPath, [main, ...run, ...process.argv.slice(2)], { stdio: "inherit" });
process.exit(outcome.status ?? 130);
