import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { locateModel } from "../src/models/locate/index.ts";
import { machineRates } from "../src/nn/index.ts";
import { cacheFolder } from "../src/schema/index.ts";
import { buildAddon } from "../src/torch/build.ts";
import { locateTorch } from "../src/torch/index.ts";

/** The real models of the tests, by the names that tests use, as packages. */
const models = {
  smollm2: "package:smollm2-135m-instruct",
  qwen: "package:qwen2.5-coder-0.5b-instruct",
  gemma: "package:gemma-3-270m",
};

/**
 * What every test's process would do by itself, done once: finds libtorch and names it in AMALGAM_TORCH, compiles the addon, measures the
 * machine while nothing else runs, and fetches the real models and names their folder in AMALGAM_TEST_MODELS, unless the caller has done so.
 * AMALGAM_TEST_SCRATCH names a folder for what tests leave. Gives what removes it.
 */
export default async function setup(): Promise<() => void> {
  const torch = locateTorch(console.log);
  buildAddon(torch, console.log);
  process.env.AMALGAM_TORCH = torch.root;
  machineRates();
  await nameModels();
  const scratch = mkdtempSync(join(tmpdir(), "amalgam-tests-"));
  process.env.AMALGAM_TEST_SCRATCH = scratch;
  return () => rmSync(scratch, { recursive: true, force: true });
}

async function nameModels(): Promise<void> {
  if (process.env.AMALGAM_TEST_MODELS) return;
  const folder = join(cacheFolder(), "test-models");
  mkdirSync(folder, { recursive: true });
  for (const [name, reference] of Object.entries(models)) {
    const { path } = await locateModel(reference, { baseFolder: process.cwd() });
    const link = join(folder, `${name}.gguf`);
    rmSync(link, { force: true });
    symlinkSync(path, link);
  }
  process.env.AMALGAM_TEST_MODELS = folder;
}
