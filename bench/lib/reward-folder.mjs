// Makes a reward model of a language model's Hugging Face folder: the same weights, and a head of its own in place of the output matrix.
//   node bench/lib/reward-folder.mjs --model FOLDER --folder FOLDER
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readSafetensorsHeader, writeSafetensorsFile } from "amalgam/nn";
import { tensor } from "amalgam/torch";
import { options } from "./options.mjs";
import { report } from "./worker.mjs";

const shard = (at) => `model-0000${at}-of-00002.safetensors`;

const { model: language, folder } = options({ model: "", folder: "" });
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"])
  if (existsSync(join(language, name))) copyFileSync(join(language, name), join(folder, name));
const config = JSON.parse(readFileSync(join(language, "config.json"), "utf8"));
const architectures = config.architectures.map((name) => name.replace("ForCausalLM", "ForSequenceClassification"));
const stated = { pad_token_id: 0, ...config, architectures, id2label: { 0: "reward" }, label2id: { reward: 0 } };
writeFileSync(join(folder, "config.json"), JSON.stringify(stated));
const weights = join(language, "model.safetensors");
symlinkSync(resolve(weights), join(folder, shard(1)));
const head = Array.from({ length: config.hidden_size }, (_, k) => Math.sin(k * k + 1) / Math.sqrt(config.hidden_size));
writeSafetensorsFile(join(folder, shard(2)), new Map([["score.weight", tensor(head, [1, head.length])]]));
const names = [...readSafetensorsHeader(weights).tensors.keys()];
const weight_map = { ...Object.fromEntries(names.map((name) => [name, shard(1)])), "score.weight": shard(2) };
writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map }));
report({});
