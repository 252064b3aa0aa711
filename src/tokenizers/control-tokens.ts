import type { Turn } from "../schema/index.ts";
import { ModelError } from "../schema/index.ts";
import type { Recognise } from "./engine.ts";
import type { AddedToken } from "./tokenizer-json.ts";

// Private-use characters, as in `transformers`: they stand around each control token of the content while it is rendered.
const start = "\u{F0000}";
const end = "\u{F0001}";

const alternatives = (tokens: readonly string[]) =>
  [...tokens]
    .sort((a, b) => b.length - a.length)
    .map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/gu, "\\$&"))
    .join("|") || "(?!)";

/**
 * Keeps control tokens that are written in the messages' content from acting as such, with the ids of
 * `transformers`' `apply_chat_template(..., sanitize_control_tokens=True)`.
 *
 * Control tokens are the special ones, and those ordinary added ones that the template itself writes (white space
 * excepted).
 */
export function controlTokenGuard(addedTokens: readonly AddedToken[], literals: readonly string[]) {
  const written = (token: AddedToken) =>
    token.content.trim() !== "" && literals.some((literal) => literal.includes(token.content));
  const control = addedTokens.filter((token) => token.special || written(token)).map((token) => token.content);
  const controlTokens = new RegExp(alternatives(control), "gu");
  const added = alternatives(addedTokens.map((token) => token.content));
  const markers = new RegExp(`${start}(${added})${end}|[${start}${end}]`, "u");
  const anyMarker = new RegExp(`[${start}${end}]`, "gu");

  return {
    /** The messages with their control tokens marked, all but `except`, ready to be rendered. */
    mark: (messages: readonly Turn[], except?: string): Turn[] =>
      messages.map((message) => ({
        ...message,
        content: message.content
          .replace(anyMarker, "")
          .replace(controlTokens, (token) => (token === except ? token : `${start}${token}${end}`)),
      })),

    /**
     * Token ids of rendered text: marked tokens as plain text, all others as they are.
     * @throws ModelError where plain text itself gives a control token.
     */
    encode(rendered: string, encode: (text: string, recognise: Recognise) => number[], file: string): number[] {
      const newline = encode("\n", "all");
      // A prefix space belongs to the start of the whole text only: pieces are encoded after a line feed.
      const encodeInside = (piece: string, recognise: Recognise) => {
        const ids = encode(`\n${piece}`, recognise);
        const follows = newline.every((id, index) => ids[index] === id);
        return follows ? ids.slice(newline.length) : encode(piece, recognise);
      };
      const [first, ...pieces] = rendered.split(markers) as (string | undefined)[];
      const ids = encode(first!, "all");
      for (const [index, piece] of pieces.entries()) {
        if (piece === undefined || piece === "") continue;
        const marked = index % 2 === 0;
        const pieceIds = encodeInside(piece, marked ? "none" : "all");
        const tokenId = marked ? addedTokens.find((token) => token.content === piece)?.id : undefined;
        if (tokenId !== undefined && pieceIds.includes(tokenId)) {
          throw new ModelError(
            `"${piece}" can't be written as plain text: the tokenizer makes the control token of it`,
            {
              file,
            },
          );
        }
        for (const id of pieceIds) ids.push(id);
      }
      return ids;
    },
  };
}
