import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ops } from "../torch/index.ts";
import { disposeModel, type LoadedModel, loadFiles, readModelFiles } from "./load.ts";
import { saveModel } from "./save.ts";
import { testModel } from "./testing/test-model.ts";
import { decoderIn, tinyFamilies, tinyModel } from "./testing/tiny-model.ts";

const target = () => join(mkdtempSync(join(tmpdir(), "amalgam-save-")), "model");
const load = async (path: string) =>
  loadFiles(await readModelFiles(path, "saved"), { precision: "fp32", device: "cpu" });

/** Same names, and every element the same bits. */
function expectEqualWeights(a: LoadedModel, b: LoadedModel): void {
  expect([...b.decoder.parameters.keys()]).toEqual([...a.decoder.parameters.keys()]);
  for (const [name, weight] of a.decoder.parameters)
    expect(ops.equal(weight, b.decoder.parameters.get(name)!), name).toBe(true);
}

test.each(tinyFamilies)("%s: what is saved is what is loaded", async (family) => {
  const model = await tinyModel(family);
  const folder = target();
  saveModel(folder, model, "# A card\n");
  const again = await load(folder);
  expectEqualWeights(model, again);
  expect(again.decoder.config).toEqual(model.decoder.config);
  expect(again.tokenizer.files()).toEqual(model.tokenizer.files());
  expect(readFileSync(join(folder, "README.md"), "utf8")).toBe("# A card\n");
  expect(readdirSync(folder).sort()).toEqual(
    [
      "README.md",
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ].sort(),
  );
  const generation = JSON.parse(readFileSync(join(folder, "generation_config.json"), "utf8")) as object;
  expect(generation).toEqual({ bos_token_id: 0, eos_token_id: model.tokenizer.stopIds });
});

test("the saved type is the weights' own, whatever the config said before", async () => {
  const model = await tinyModel("gemma3");
  const folder = target();
  saveModel(folder, { ...model, decoder: decoderIn(model.decoder, "bfloat16") }, "");
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
  expect(config.torch_dtype).toBe("bfloat16");
  expect(config.dtype).toBeUndefined();
  expect((await readModelFiles(folder, "saved")).weights("bfloat16").get("model.norm.weight")!.dtype).toBe("bfloat16");
});

test("floats stay floats, which transformers insists on", async () => {
  const folder = target();
  saveModel(folder, await tinyModel("gemma2"), "");
  const config = readFileSync(join(folder, "config.json"), "utf8");
  expect(config).toContain('"attn_logit_softcapping": 2.0,\n');
  expect(config).toContain('"final_logit_softcapping": 3.0,\n');
  expect((await load(folder)).config).toMatchObject({ attn_logit_softcapping: 2, final_logit_softcapping: 3 });
  saveModel(folder, await tinyModel("mixtral"), "");
  expect(readFileSync(join(folder, "config.json"), "utf8")).toContain('"router_jitter_noise": 0.0,\n');
});

test("a folder that is there already is replaced whole, and nothing is left beside it", async () => {
  const folder = target();
  saveModel(folder, await tinyModel("llama"), "first");
  writeFileSync(join(folder, "stray.txt"), "of the first");
  saveModel(folder, await tinyModel("qwen2"), "second");
  expect(readdirSync(folder)).not.toContain("stray.txt");
  expect(readFileSync(join(folder, "README.md"), "utf8")).toBe("second");
  expect(readdirSync(join(folder, ".."))).toEqual(["model"]);
  expectEqualWeights(await tinyModel("qwen2"), await load(folder));
});

test("a GGUF file, saved and loaded again, is the same model", { timeout: 600_000 }, async () => {
  const model = await load(await testModel("smollm2"));
  const folder = target();
  saveModel(folder, model, "");
  const again = await load(folder);
  expectEqualWeights(model, again);
  expect(again.decoder.config).toEqual(model.decoder.config);
  expect(again.tokenizer.stopIds).toEqual(model.tokenizer.stopIds);
  disposeModel(model);
  disposeModel(again);
});
