// Writes a model as Hugging Face folders in fp32, so that both sides of a comparison have the same weights: FOLDER/current,
// and FOLDER/2024 for the transformers of that year (merges of the tokenizer as strings, rope_theta in the config).
//   node bench/lib/model-folder.mjs --model REFERENCE --folder FOLDER
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { disposeModel, openModel, saveModel } from "amalgam/models";
import { options } from "./options.mjs";
import { report } from "./worker.mjs";

const { model: reference, folder } = options({ model: "", folder: "" });
const current = join(folder, "current");
if (!existsSync(join(current, "config.json"))) {
  mkdirSync(folder, { recursive: true });
  const model = await openModel(
    { model: reference, precision: "fp32", device: "cpu" },
    { baseFolder: process.cwd(), offline: false },
  );
  saveModel(current, model, `# ${model.label}\n\nWritten for a comparison on this machine.\n`);
  disposeModel(model);
}

const older = join(folder, "2024");
rmSync(older, { recursive: true, force: true });
mkdirSync(older);
const read = (name) => JSON.parse(readFileSync(join(current, name), "utf8"));
const write = (name, value) => writeFileSync(join(older, name), `${JSON.stringify(value, null, 1)}\n`);
const config = read("config.json");
write("config.json", { ...config, rope_theta: config.rope_theta ?? config.rope_parameters?.rope_theta });
const tokenizer = read("tokenizer.json");
const merges = tokenizer.model.merges?.map((merge) => (Array.isArray(merge) ? merge.join(" ") : merge));
write("tokenizer.json", { ...tokenizer, model: { ...tokenizer.model, merges } });
const template = join(current, "chat_template.jinja");
write("tokenizer_config.json", {
  ...read("tokenizer_config.json"),
  tokenizer_class: "PreTrainedTokenizerFast",
  ...(existsSync(template) ? { chat_template: readFileSync(template, "utf8") } : {}),
});
symlinkSync(join("..", "current", "model.safetensors"), join(older, "model.safetensors"));
report({});
