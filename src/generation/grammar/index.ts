import { RequestError } from "../../schema/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { Constraint } from "../constraint.ts";
import { type Automaton, compileGrammar, type Position } from "./automaton.ts";
import type { Grammar } from "./expression.ts";
import { anyJson, schemaGrammar } from "./json-schema.ts";
import { parseRegex } from "./regex.ts";
import { tokensFrom, vocabularyOf } from "./vocabulary.ts";

/** What a response must look like, whole: a match of a regular expression, or JSON (that fits a schema). */
export type OutputForm =
  | { readonly regex: string }
  | { readonly jsonSchema: unknown }
  /** Any object. */
  | { readonly json: "object" };

/** @throws RequestError */
export function automatonOf(form: OutputForm): Automaton {
  try {
    return compileGrammar(grammarOf(form));
  } catch (error) {
    // Groups, references and lists are walked by calls within calls.
    if (!(error instanceof RangeError)) throw error;
    throw new RequestError("the pattern or schema is too large, or nested too deep");
  }
}

function grammarOf(form: OutputForm): Grammar {
  if ("regex" in form) return { rules: new Map(), start: parseRegex(form.regex).expression };
  return "json" in form ? anyJson() : schemaGrammar(form.jsonSchema);
}

/** @throws RequestError for a pattern or schema that is malformed or can't be followed */
export const checkForm = (form: OutputForm): void => void automatonOf(form);

/** Masks that are kept; texts come back to the same few positions. */
const mostMasks = 512;

/**
 * Constraints that hold responses to a form: of each next token only those are allowed with which the text can still become one of
 * that form, and an end token only where it is one. Masks are made once for each position in the grammar that texts come to.
 *
 * @throws RequestError for a pattern or schema that is malformed or can't be followed
 */
export function constraintsOf(
  form: OutputForm,
  tokenizer: Tokenizer,
  vocabularySize: number,
  endIds: Iterable<number>,
): () => Constraint {
  const automaton = automatonOf(form);
  const vocabulary = vocabularyOf(tokenizer, vocabularySize);
  const ends = [...endIds];
  const masks = new Map<Position, Uint32Array>();
  const maskAt = (position: Position): Uint32Array => {
    let mask = masks.get(position);
    if (mask === undefined) {
      mask = tokensFrom(vocabulary, automaton, position);
      if (position.accepts) for (const id of ends) mask[id >>> 5]! |= 1 << (id & 31);
      if (mask.every((word) => word === 0))
        throw new RequestError("no token of the model's vocabulary goes on with what was asked for");
      if (masks.size >= mostMasks) masks.delete(masks.keys().next().value!);
      masks.set(position, mask);
    }
    return mask;
  };
  return () => {
    let position = automaton.start;
    return {
      allowed: () => maskAt(position),
      accept(token) {
        for (const byte of tokenizer.tokenBytes(token)) position = automaton.step(position, byte) ?? position;
      },
    };
  };
}
