import { utf8Text } from "../schema/index.ts";
import type { ChatCompletion } from "./completion.ts";
import { type Parsed, parseJson } from "./wire.ts";

/** The answer is a stream of events, by its content type or by how it begins. */
export const isEventStream = (contentType: unknown, body: Uint8Array): boolean =>
  (typeof contentType === "string" && contentType.startsWith("text/event-stream")) ||
  /^(data|event|id|:)/.test(Buffer.from(body.subarray(0, 8)).toString("latin1"));

const lineEnd = /\r\n|\r|\n/;

/**
 * The data of each event of a whole server-sent stream (HTML standard, 9.2), as JSON; `[DONE]` is left out. An event that
 * comes again under the `id` of the one before it counts once; one that is not closed by an empty line was cut off.
 */
export function readEvents(body: Uint8Array): Parsed<unknown[]> {
  if (body.length === 0) return { fault: "the answer is empty" };
  const text = utf8Text(body);
  if (text === undefined) return { fault: "the answer is not UTF-8" };
  const events: unknown[] = [];
  let data: string[] = [];
  let id: string | undefined;
  let lastId: string | undefined;
  for (const line of text.split(lineEnd)) {
    if (line !== "") {
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
      if (field === "data") data.push(value ?? "");
      if (field === "id") id = value;
      continue;
    }
    const whole = data.join("\n");
    const again = id !== undefined && id === lastId;
    lastId = id ?? lastId;
    id = undefined;
    data = [];
    if (whole === "" || whole === "[DONE]" || again) continue;
    const event = parseJson(Buffer.from(whole));
    if ("fault" in event) return { fault: `an event of the stream is damaged (${whole.length} characters)` };
    events.push(event.value);
  }
  return data.length > 0 && data.join("\n") !== "[DONE]" ? { fault: brokenOff } : { value: events };
}

export const brokenOff = "the stream broke off before the answer was whole";

/** The answer of a stream with so many pieces of text; a fault where it has fewer tokens: every piece is one at least. */
export function withoutRepeats(completion: ChatCompletion, pieces: number): Parsed<ChatCompletion> {
  const tokens = completion.usage?.completion_tokens ?? pieces;
  if (pieces <= tokens) return { value: completion };
  return { fault: `the stream has ${pieces} pieces of text for ${tokens} tokens: some came twice` };
}
