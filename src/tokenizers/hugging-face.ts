import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ModelError } from "../schema/index.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import {
  namedTokenKeys,
  parseJson,
  specialTokensMapSchema,
  type TokenizerConfig,
  tokenizerConfigSchema,
  tokenizerJsonSchema,
} from "./tokenizer-json.ts";

/** What a caller may set for a model's tokenizer, from a folder or a GGUF file. */
export interface TokenizerOptions {
  /** A Jinja text in the place of the model's own chat template. */
  readonly chatTemplate?: string | undefined;
}

/**
 * Reads the tokenizer of a Hugging Face model folder: tokenizer.json, and where they exist tokenizer_config.json,
 * special_tokens_map.json and the chat template (chat_template.jinja, else chat_template.json, else the configuration).
 * @throws ModelError naming the file and field that is missing or damaged.
 */
export async function tokenizerFromFolder(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
  const file = join(folder, "tokenizer.json");
  const text = await readIfThere(file);
  if (text === undefined) {
    throw new ModelError("the model folder has no tokenizer.json", {
      file,
      hint: "Fetch it with the model; a model with tokenizer.model or vocab.json only: save its tokenizer again with transformers.",
    });
  }
  const json = parseJson(text, tokenizerJsonSchema, file);
  const config = await readConfig(folder);
  const own = options.chatTemplate === undefined ? await readTemplate(folder, config) : undefined;
  return createTokenizer({
    json,
    config,
    chatTemplate: options.chatTemplate ?? own?.text,
    origin: { file, merges: "model.merges", template: own?.place ?? { file: folder, field: "chat template given" } },
  });
}

async function readConfig(folder: string): Promise<TokenizerConfig> {
  const file = join(folder, "tokenizer_config.json");
  const text = await readIfThere(file);
  const config = text === undefined ? {} : parseJson(text, tokenizerConfigSchema, file);
  const mapFile = join(folder, "special_tokens_map.json");
  const mapText = await readIfThere(mapFile);
  const map = mapText === undefined ? {} : parseJson(mapText, specialTokensMapSchema, mapFile);
  const missing = namedTokenKeys.filter((key) => !(key in config) && map[key]);
  return { ...config, ...Object.fromEntries(missing.map((key) => [key, map[key]])) };
}

async function readTemplate(folder: string, config: TokenizerConfig) {
  const jinja = join(folder, "chat_template.jinja");
  const text = await readIfThere(jinja);
  if (text !== undefined) return { text, place: { file: jinja } };
  const file = join(folder, "chat_template.json");
  const json = await readIfThere(file);
  if (json !== undefined) {
    const { chat_template } = parseJson(json, z.looseObject({ chat_template: z.string() }), file);
    return { text: chat_template, place: { file, field: "chat_template" } };
  }
  const place = { file: join(folder, "tokenizer_config.json"), field: "chat_template" };
  const { chat_template } = config;
  if (typeof chat_template === "string") return { text: chat_template, place };
  const standard = chat_template?.find((template) => template.name === "default");
  return standard === undefined ? undefined : { text: standard.template, place };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ModelError(`can't be read: ${(cause as Error).message}`, { file, cause });
  }
}
