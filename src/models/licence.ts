import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { AmalgamError } from "../schema/index.ts";
import { readGguf } from "./gguf/index.ts";
import { type LocateOptions, locateModel } from "./locate/index.ts";

/**
 * The licence that a model on this machine states: `license` in the front matter of its README, or `general.license` of a GGUF
 * file. Undefined where it states none, or is not here; nothing is fetched.
 */
export async function statedLicence(
  reference: string,
  options: Omit<LocateOptions, "offline">,
): Promise<string | undefined> {
  try {
    const { kind, path } = await locateModel(reference, { ...options, offline: true });
    const stated = kind === "gguf" ? readGguf(path).metadata.get("general.license") : licenceOfCard(path);
    return typeof stated === "string" && stated.trim() !== "" ? stated.trim() : undefined;
  } catch (error) {
    if (error instanceof AmalgamError) return undefined;
    throw error;
  }
}

function licenceOfCard(folder: string): unknown {
  const card = join(folder, "README.md");
  if (!existsSync(card)) return undefined;
  const front = /^---\r?\n(.*?)\r?\n---/s.exec(readFileSync(card, "utf8"))?.[1];
  try {
    const fields: unknown = front === undefined ? undefined : parse(front);
    return typeof fields === "object" && fields !== null ? (fields as { license?: unknown }).license : undefined;
  } catch {
    // A card that is no YAML states nothing.
    return undefined;
  }
}
