import { begunAtEnd } from "../generation/index.ts";
import { parseCall, type ToolCall, type ToolFormat } from "./tool-calls.ts";

export interface Parsed {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

/** Parts a response's text into what is said and the calls of tools, as it comes. */
export interface ToolCallReader {
  push(text: string): Parsed;
  end(): Parsed;
}

/** What is no readable call stays part of the text: nothing that a model wrote is lost. */
export function toolCallReader(format: ToolFormat): ToolCallReader {
  const { open } = format;
  let held = "";
  /** What stood before the text that may be a call: `open`, or nothing where it began without. */
  let inside: string | undefined;
  /** Nothing was said since the beginning, or since the last call. */
  let silent = true;
  let called = false;

  const step = (final: boolean, content: (text: string) => void, calls: ToolCall[]): boolean => {
    if (inside !== undefined) {
      const read = inside === open ? format.read(held, final) : format.bare!(held, final);
      if (read === "unfinished" && !final) return false;
      if (typeof read === "string") {
        content(inside);
        silent = false;
      } else {
        calls.push(...read.calls);
        held = read.rest;
        silent = true;
        called = true;
      }
      inside = undefined;
      return true;
    }
    const before = format.bare !== undefined && silent ? bareStart(held, called) : undefined;
    if (before !== undefined) {
      if (before === held.length) {
        if (final && called) held = "";
        else if (!final) return false;
      } else if (held[before] === "{") {
        inside = held.slice(0, before);
        held = held.slice(before);
        return true;
      }
    }
    const at = held.indexOf(open);
    if (at >= 0) {
      // White space before a call only sets it apart.
      content(held.slice(0, at).trimEnd());
      held = held.slice(at + open.length);
      inside = open;
      return true;
    }
    // White space after a call, too.
    if (final && called && silent && held.trim() === "") held = "";
    const blank = held.length - held.trimEnd().length;
    const kept = final ? 0 : Math.max(blank, keptForMark(held, open));
    content(held.slice(0, held.length - kept));
    held = held.slice(held.length - kept);
    return false;
  };

  const read = (final: boolean): Parsed => {
    let content = "";
    const calls: ToolCall[] = [];
    const say = (text: string) => {
      if (text !== "") silent = false;
      content += text;
    };
    while (step(final, say, calls));
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

/** The first call alone, and what is said. */
export function firstCallOnly(reader: ToolCallReader): ToolCallReader {
  let called = false;
  const first = ({ content, calls }: Parsed): Parsed => {
    if (called) return { content, calls: [] };
    called = calls.length > 0;
    return { content, calls: calls.slice(0, 1) };
  };
  return { push: (text) => first(reader.push(text)), end: () => first(reader.end()) };
}

/** Where JSON may begin: after white space, and after a call after a semicolon, too. */
const bareStart = (text: string, called: boolean): number => (called ? /^[\s;]*/ : /^\s*/).exec(text)![0].length;

/** How much of the end may be white space and the beginning of a mark. */
function keptForMark(text: string, open: string): number {
  const begun = begunAtEnd(text, open);
  const before = text.slice(0, text.length - begun);
  return begun === 0 ? 0 : begun + before.length - before.trimEnd().length;
}
