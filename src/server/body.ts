import { ApiError, badRequest } from "./api-error.ts";
import type { Call } from "./call.ts";

/** Lists and maps within each other: deeper than any schema or tool needs, and no deeper than templates can walk. */
const deepest = 64;

/**
 * The JSON of a request's body.
 *
 * @throws ApiError for another content type, more than `mostBytes`, invalid UTF-8 or JSON, nesting beyond 64 levels and
 * texts with half a surrogate pair, which no tokenizer can spell; the signal's reason when the client goes away.
 */
export async function readJson(call: Pick<Call, "incoming" | "hold">, mostBytes: number): Promise<unknown> {
  const { incoming } = call;
  const type = incoming.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json" && !type?.endsWith("+json"))
    throw new ApiError(415, "the body must be JSON, sent with `content-type: application/json`");
  const encoding = incoming.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw new ApiError(415, "the body must be sent without a content encoding");
  return parseJson(await readBytes(call, mostBytes));
}

async function readBytes({ incoming, hold }: Pick<Call, "incoming" | "hold">, mostBytes: number): Promise<Buffer> {
  // What still comes is read and thrown away, so that the client can read the answer; the server's own time limit ends it.
  const rest = () => void incoming.resume();
  const tooLarge = () => {
    rest();
    return new ApiError(413, `the body has more than ${mostBytes} bytes, the most that this server takes`);
  };
  if (Number(incoming.headers["content-length"] ?? 0) > mostBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    const settle = (then: () => void) => {
      incoming.off("data", take).off("end", ended).off("error", failed).off("close", failed);
      then();
    };
    const take = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > mostBytes) return settle(() => reject(tooLarge()));
      try {
        hold(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        settle(() => reject(error));
        rest();
      }
    };
    const ended = () => settle(resolve);
    const failed = () => settle(() => reject(badRequest("the body broke off")));
    incoming.on("data", take).on("end", ended).on("error", failed).on("close", failed);
  });
  return Buffer.concat(chunks);
}

function parseJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("the body is not valid UTF-8");
  }
  if (nesting(text) > deepest) throw badRequest(`the body nests lists and maps more than ${deepest} deep`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body is not valid JSON: ${(error as Error).message.slice(0, 200)}`);
  }
  // Half pairs can only be written as escapes.
  if (/\\u[dD][89a-fA-F]/.test(text)) refuseHalfPairs(value);
  return value;
}

/** How deep the brackets of a JSON text go, without parsing it. */
function nesting(text: string): number {
  let depth = 0;
  let most = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (quoted) {
      if (character === backslash) at += 1;
      else if (character === quote) quoted = false;
    } else if (character === quote) quoted = true;
    else if (character === openList || character === openMap) most = Math.max(most, ++depth);
    else if (character === closeList || character === closeMap) depth -= 1;
  }
  return most;
}

const [quote, backslash, openList, closeList, openMap, closeMap] = [...'"\\[]{}'].map((c) => c.charCodeAt(0));

function refuseHalfPairs(value: unknown): void {
  const refuse = (text: string) => {
    if (!text.isWellFormed()) throw badRequest("a text of the body holds half a surrogate pair, which is no character");
  };
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next === "string") refuse(next);
    else if (Array.isArray(next)) for (const item of next) rest.push(item);
    else if (next !== null && typeof next === "object")
      for (const [key, inner] of Object.entries(next)) {
        refuse(key);
        rest.push(inner);
      }
  }
}
