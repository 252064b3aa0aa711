import { utf8Text } from "../../schema/index.ts";
import type { Parsed } from "../../sources/index.ts";

const stringOrNumber = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/** JSON in which Python's NaN and Infinity stand as texts, so that one such number does not cost the others of a call. */
export function parseLeniently(body: Uint8Array): Parsed<unknown> {
  if (body.length === 0) return { fault: "the answer is empty" };
  const text = utf8Text(body);
  if (text === undefined) return { fault: "the answer is not UTF-8" };
  try {
    return {
      value: JSON.parse(text.replace(stringOrNumber, (found) => (found.startsWith('"') ? found : `"${found}"`))),
    };
  } catch {
    return { fault: `the answer is not JSON, or breaks off (${body.length} bytes)` };
  }
}
