import { randomBytes } from "node:crypto";
import { z } from "zod";

export interface ToolCall {
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

/** A form in which models write calls of tools. */
export interface ToolFormat {
  /** What a call begins with. */
  readonly open: string;
  /** What it ends with, where something marks its end. */
  readonly close?: string;
  /** Special tokens that belong to the form: they are part of the text that is read. */
  readonly marks: readonly string[];
  /** Reads calls at the beginning of a text without `open`; undefined: there are none without it. */
  readonly bare?: ToolFormat["read"];
  /**
   * The calls at the beginning of a text that follows `open`, and what comes after them. With `final` no more text comes.
   */
  read(text: string, final: boolean): ReadCalls | "unfinished" | "no call";
  /** A name for a call, as the model's template takes it back. */
  newId(): string;
}

export interface ReadCalls {
  readonly calls: readonly ToolCall[];
  readonly rest: string;
}

const callSchema = z.looseObject({ name: z.string().min(1) });
const given = z.union([z.record(z.string(), z.unknown()), z.string()]);

/** A call from its JSON, where Hermes, Qwen and Mistral write `arguments` and Llama `parameters`. */
export function parseCall(text: string): ToolCall | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  return callOf(json);
}

function callOf(json: unknown): ToolCall | undefined {
  const parsed = callSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const { name, arguments: own, parameters } = parsed.data;
  const values = given.safeParse(own ?? parameters ?? {});
  if (!values.success) return undefined;
  return { name, arguments: typeof values.data === "string" ? values.data : JSON.stringify(values.data) };
}

/** A name for a call, as OpenAI makes them. */
export const openAiId = () => `call_${randomBytes(12).toString("hex")}`;

const hermesOpen = "<tool_call>";

/** JSON between `<tool_call>` tags, as Hermes and Qwen write it; small models forget the tags. */
const hermes = (tools: readonly string[]): ToolFormat => ({
  open: hermesOpen,
  close: "</tool_call>",
  marks: [hermesOpen, "</tool_call>"],
  bare: bareCall(tools),
  read(text, final) {
    const close = this.close!;
    const at = text.indexOf(close);
    if (at < 0 && !final) return "unfinished";
    const call = parseCall(at < 0 ? text : text.slice(0, at));
    return call === undefined ? "no call" : { calls: [call], rest: at < 0 ? "" : text.slice(at + close.length) };
  },
  newId: openAiId,
});

const mistralCall = /^\s*([A-Za-z0-9_.-]{1,64})(?:\[CALL_ID\][A-Za-z0-9]*)?(?:\[ARGS\])?\s*(?=\{)/;
const mistralBegun = /^\s*[A-Za-z0-9_.-]{0,64}(?:\[[A-Z_]*\]?[A-Za-z0-9]*)*\s*$/;

/** `[TOOL_CALLS]`, then a list of calls, or since 2025 a name and its arguments for each. */
const mistral: ToolFormat = {
  open: "[TOOL_CALLS]",
  marks: ["[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"],
  read(text) {
    const named = mistralCall.exec(text);
    const start = named?.[0].length ?? text.length - text.trimStart().length;
    if (named === null && text[start] !== "[") return mistralBegun.test(text) ? "unfinished" : "no call";
    const end = jsonEnd(text, start);
    if (end === undefined) return "unfinished";
    const json = text.slice(start, end);
    const calls =
      named === null ? callList(json) : [parseCall(`{"name":${JSON.stringify(named[1])},"arguments":${json}}`)];
    if (calls.length === 0 || calls.includes(undefined)) return "no call";
    return { calls: calls as ToolCall[], rest: text.slice(end) };
  },
  // Its templates take ids of nine letters and digits only.
  newId: () => randomBytes(8).toString("hex").slice(0, 9),
};

function callList(text: string): (ToolCall | undefined)[] {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.map(callOf) : [];
  } catch {
    return [];
  }
}

/** The JSON of a call alone or after `<|python_tag|>`, several with `;` between them. */
const llama = (tools: readonly string[]): ToolFormat => ({
  open: "<|python_tag|>",
  marks: ["<|python_tag|>"],
  bare: bareCall(tools),
  read: bareCall(tools),
  newId: openAiId,
});

/** Reads the JSON of a call of one of the tools. Any JSON may stand in an answer: that of another name is none. */
const bareCall =
  (tools: readonly string[]): ToolFormat["read"] =>
  (text) => {
    const start = text.length - text.trimStart().length;
    if (start === text.length) return "unfinished";
    if (text[start] !== "{") return "no call";
    const end = jsonEnd(text, start);
    if (end === undefined) return "unfinished";
    const call = parseCall(text.slice(start, end));
    if (call === undefined || !tools.includes(call.name)) return "no call";
    return { calls: [call], rest: text.slice(end) };
  };

/** The form in which a model writes calls, by its template; undefined: none that is read here. */
export function toolFormatOf(template: string, tools: readonly string[]): ToolFormat | undefined {
  if (template.includes(hermesOpen)) return hermes(tools);
  if (template.includes(mistral.open)) return mistral;
  if (template.includes("<|python_tag|>") || template.includes('"parameters": dictionary')) return llama(tools);
  return undefined;
}

/** Where the list or map that begins at `start` ends; undefined: not yet. */
function jsonEnd(text: string, start: number): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === "\\") at += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") depth += 1;
    else if ((character === "}" || character === "]") && --depth === 0) return at + 1;
  }
  return undefined;
}
