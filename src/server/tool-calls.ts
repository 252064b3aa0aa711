import { z } from "zod";
import { begunAtEnd } from "../generation/index.ts";

export interface ToolCall {
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

export interface Parsed {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

/** Parts a response's text into what is said and the calls of tools, as it comes. */
export interface ToolCallReader {
  push(text: string): Parsed;
  end(): Parsed;
}

const open = "<tool_call>";
export const closeOfCall = "</tool_call>";

const callSchema = z.looseObject({
  name: z.string().min(1),
  arguments: z.union([z.record(z.string(), z.unknown()), z.string()]).default({}),
});

/** Whether a template writes calls of tools in the form that is read here: JSON between `<tool_call>` tags, as Hermes' and Qwen's do. */
export const writesToolCalls = (template: string): boolean => template.includes(open);

/** What is no readable call stays part of the text: nothing that a model wrote is lost. */
export function toolCallReader(): ToolCallReader {
  let held = "";
  let inside = false;

  const read = (final: boolean): Parsed => {
    let content = "";
    const calls: ToolCall[] = [];
    for (;;) {
      if (inside) {
        const at = held.indexOf(closeOfCall);
        if (at < 0 && !final) break;
        const body = at < 0 ? held : held.slice(0, at);
        const call = parseCall(body);
        if (call === undefined) content += `${open}${body}${at < 0 ? "" : closeOfCall}`;
        else calls.push(call);
        held = at < 0 ? "" : held.slice(at + closeOfCall.length);
        inside = false;
        if (at < 0) break;
      } else {
        const at = held.indexOf(open);
        if (at >= 0) {
          // White space before a call only sets it apart.
          content += held.slice(0, at).trimEnd();
          held = held.slice(at + open.length);
          inside = true;
        } else {
          const blank = final ? 0 : held.length - held.trimEnd().length;
          const kept = final ? 0 : Math.max(blank, keptForTag(held));
          content += held.slice(0, held.length - kept);
          held = held.slice(held.length - kept);
          break;
        }
      }
    }
    return { content, calls };
  };

  return {
    push(text) {
      held += text;
      return read(false);
    },
    end: () => read(true),
  };
}

/** Reads a text that is one call as a whole. What is cut off before its end stays text. */
export function wholeCallReader(): ToolCallReader {
  let text = "";
  return {
    push(more) {
      text += more;
      return { content: "", calls: [] };
    },
    end() {
      const call = parseCall(text);
      return call === undefined ? { content: text, calls: [] } : { content: "", calls: [call] };
    },
  };
}

/** How much of the end may be white space and the beginning of a tag. */
function keptForTag(text: string): number {
  const begun = begunAtEnd(text, open);
  const before = text.slice(0, text.length - begun);
  return begun === 0 ? 0 : begun + before.length - before.trimEnd().length;
}

function parseCall(body: string): ToolCall | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  const parsed = callSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const { name, arguments: given } = parsed.data;
  return { name, arguments: typeof given === "string" ? given : JSON.stringify(given) };
}
