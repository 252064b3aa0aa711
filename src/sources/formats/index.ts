import type { EndpointRecipe } from "../../schema/index.ts";
import { anthropicFormat } from "./anthropic.ts";
import { chatFormat } from "./chat.ts";
import { completionsFormat } from "./completions.ts";
import type { FormatOf, WireFormat } from "./format.ts";
import { geminiFormat } from "./gemini.ts";

const formats: Readonly<Record<EndpointRecipe["format"], FormatOf>> = {
  chat: chatFormat,
  completions: completionsFormat,
  anthropic: anthropicFormat,
  gemini: geminiFormat,
};

/** The format of a recipe's endpoint. Throws ModelError for a template that is no valid Jinja. */
export const formatOf = (recipe: EndpointRecipe): WireFormat => formats[recipe.format](recipe);
