import { hash } from "node:crypto";

/**
 * JSON with the keys of every object sorted, so that equal values give equal text; numbers that are keys stand first, as in every object. What
 * JSON does not have is written, left out and refused as `JSON.stringify` does.
 */
export const canonicalJson = (value: unknown): string => written(value) as string;

/** Content key: the first 128 bits of SHA-256 over the canonical JSON, as 32 hexadecimal digits. */
export const contentKey = (value: unknown): string => hash("sha256", canonicalJson(value), "hex").slice(0, 32);

/** By hand: a run has hundreds of thousands of keys, and `JSON.stringify` with sorted copies of all objects takes half as long again. */
function written(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if ("toJSON" in value && typeof value.toJSON === "function") return written(value.toJSON());
  if (Array.isArray(value)) return `[${value.map((item) => written(item) ?? "null").join(",")}]`;
  const fields: string[] = [];
  for (const key of sortedKeys(value)) {
    const text = written((value as Record<string, unknown>)[key]);
    if (text !== undefined) fields.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${fields.join(",")}}`;
}

const indexLike = /^(?:0|[1-9]\d{0,9})$/;

function sortedKeys(value: object): string[] {
  const keys = Object.keys(value);
  if (keys.length < 2) return keys;
  keys.sort();
  return keys.some((key) => indexLike.test(key)) ? Object.keys(Object.fromEntries(keys.map((key) => [key, 0]))) : keys;
}
