import type { EndpointRecipe } from "../../schema/index.ts";
import type { ChatCompletion, ChatRequest } from "../completion.ts";
import type { Parsed } from "../wire.ts";

/** What differs between the servers of one format; learnt from their refusals. */
export interface Dialect {
  readonly tokensField: "max_tokens" | "max_completion_tokens";
  readonly seed: boolean;
  /** Whether a stream may be asked to tell the tokens at its end. */
  readonly streamUsage: boolean;
}

/** Where the calls of an API go, and how they carry a key. */
export interface WireAddress {
  /** What follows the base URL; `tail` is what of it a recipe may have written already. */
  readonly path: string;
  readonly tail?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** The header for the key, and what stands before the key in it. */
  readonly keyHeader: { readonly name: string; readonly before: string };
  readonly headers?: Readonly<Record<string, string>>;
}

/** How calls and answers of one API look. */
export interface WireFormat extends WireAddress {
  /** The names of what a request may carry and a server may not know, where they are not OpenAI's. */
  readonly names?: Readonly<Record<string, keyof ChatRequest>>;
  /** What a request may carry and this API has no field for. */
  readonly lacks?: readonly (keyof ChatRequest)[];
  /** Whether the prompt that is made of the messages ends with the mark that begins thoughts. */
  readonly begunThinking?: (messages: ChatRequest["messages"]) => boolean;
  /** The body of a call. @throws DataError where the messages can't be written in this format */
  body(request: ChatRequest, dialect: Dialect): Record<string, unknown>;
  read(answer: unknown): Parsed<ChatCompletion>;
  /** Makes one answer of the events of a whole stream. */
  join(events: readonly unknown[]): Parsed<ChatCompletion>;
}

export type FormatOf = (recipe: EndpointRecipe) => WireFormat;
