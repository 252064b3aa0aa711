import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { describeError, ModelError } from "../../schema/index.ts";
import { locateModel } from "./index.ts";

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "amalgam-local-"));
});
afterEach(() => rm(base, { recursive: true }));

async function lay(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(base, name)), { recursive: true });
    await writeFile(join(base, name), "{}");
  }
}

async function told(reference: string): Promise<string> {
  const error = await locateModel(reference, { baseFolder: base, offline: true, environment: { HF_HOME: base } }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ModelError);
  return describeError(error);
}

test("a folder and a GGUF file, relative to the recipe's folder, absolute, and from home", async () => {
  await lay("models/a/config.json", "models/a/model.safetensors", "models/b.Q4_0.gguf");
  const options = { baseFolder: join(base, "models"), environment: { HOME: base } };
  expect(await locateModel("./a", options)).toEqual({ path: join(base, "models/a"), kind: "folder", label: "./a" });
  expect(await locateModel("b.Q4_0.gguf", options)).toMatchObject({
    path: join(base, "models/b.Q4_0.gguf"),
    kind: "gguf",
  });
  expect((await locateModel(join(base, "models/a"), options)).path).toBe(join(base, "models/a"));
  expect((await locateModel("~/models/a", options)).path).toBe(join(base, "models/a"));
});

test("a missing path: what was looked for, and what it was probably meant to be", async () => {
  await lay("models/smollm2.gguf");
  const text = await told("./models/smolm2.gguf");
  expect(text).toContain(join(base, "models/smolm2.gguf"));
  expect(text).toContain("Did you mean smollm2.gguf?");
});

test("folders that are no model", async () => {
  await lay("empty/.keep", "weights/model.safetensors", "pickle/config.json", "pickle/pytorch_model.bin");
  await lay("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "gguf/x.gguf", "bare/config.json");
  expect(await told("./empty")).toMatch(/has no config\.json/);
  expect(await told("./weights")).toMatch(/has no config\.json/);
  expect(await told("./pickle")).toMatch(/only as pickles.*safetensors/s);
  expect(await told("./adapter")).toMatch(/LoRA adapter, not a model.*Merge/s);
  expect(await told("./gguf")).toContain(join(base, "gguf/x.gguf"));
  expect(await told("./bare")).toMatch(/neither model\.safetensors nor model\.safetensors\.index\.json/);
});

test("an index that is broken, points outside, or names shards that are missing", async () => {
  await lay("m/config.json");
  const index = join(base, "m/model.safetensors.index.json");
  await writeFile(index, "{");
  expect(await told("./m")).toMatch(/model\.safetensors\.index\.json: .*not JSON/);
  await writeFile(index, JSON.stringify({ weight_map: { x: "../../secret.safetensors" } }));
  expect(await told("./m")).toMatch(/no safetensors file of its folder/);
  await writeFile(index, JSON.stringify({ weight_map: { x: "a.safetensors", y: "b.safetensors" } }));
  await lay("m/a.safetensors");
  expect(await told("./m")).toMatch(/lacks 1 of the shards.*b\.safetensors/);
});

test("files that are no GGUF, and parts of a split one", async () => {
  await lay("m/model.safetensors", "big-00002-of-00003.gguf");
  expect(await told("./m/model.safetensors")).toContain(`Name its folder: ${join(base, "m")}`);
  expect(await told("./big-00002-of-00003.gguf")).toMatch(/part 2 of a GGUF split into 3 files/);
  expect(await told("maker/big:big-00001-of-00003.gguf")).toMatch(/part 1 of a GGUF split into 3 files/);
});

test("an unknown package", async () => {
  expect(await told("package:gemma-270m")).toMatch(/Did you mean gemma-3-270m\? The packages are package:smollm2/);
});
