import { DataError, ModelError, type Turn } from "../schema/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { LengthLimits, TextRow } from "./rows.ts";

export interface ReferenceTokens {
  readonly prompt: number[];
  readonly responses: number[][];
  /** The prompt lost its beginning. */
  readonly shortened: boolean;
  /** Responses lost their ends. */
  readonly cut: boolean;
}

/**
 * Token ids of a row as the reference code of WRPO makes them (SLIT-AI/WRPO, `run_wrpo.py` and `tokenize_row`), for comparisons with
 * models that were trained by it. It differs from what the model sees at inference, and these are its ways:
 *
 * - Each message is put through the chat template alone. A system message that the template inserts stands in every response; the
 *   prompt has an empty one where the template knows system messages; a BOS at a response's beginning is taken away.
 * - The prompt ends without the generation prompt: the assistant's header is part of each response, and is scored.
 * - EOS follows the template's own end of turn, which is doubled where the two are one.
 * - Where prompt and longest response exceed `max_length`, the prompt keeps its last `max_prompt_length` tokens; where that is not
 *   enough, every response, short ones too, is cut to `max_length - max_prompt_length` tokens: 248 of the paper's settings.
 *
 * A conversation is one text here; the reference code takes one message only.
 *
 * @throws ModelError for a tokenizer without BOS or EOS, which the reference code fails for, too; DataError where a chat template
 * refuses a message alone, and where the beginning of a response melts into the prompt's last token.
 */
export function referenceTokens(
  { id, messages, responses }: TextRow,
  tokenizer: Tokenizer,
  { max_length, max_prompt_length }: Pick<LengthLimits, "max_length" | "max_prompt_length">,
): ReferenceTokens {
  const { bosId, eosId } = tokenizer;
  if (bosId === undefined || eosId === undefined)
    throw new ModelError(
      "the reference code's tokenisation needs a BOS and an EOS token, and the tokenizer lacks one",
      {
        hint: "Set wrpo.tokenisation to own.",
      },
    );
  const bos = tokenizer.decode([bosId]);
  const question = tokenizer.renderChat(withSystem(messages, tokenizer));
  const whole = tokenizer.encode(question, { special: true });
  const answers = responses.map((content) => {
    const text = tokenizer.renderChat([{ role: "assistant", content }]);
    const both = tokenizer.encode(question + (text.startsWith(bos) ? text.slice(bos.length) : text), { special: true });
    if (whole.some((token, k) => both[k] !== token))
      throw new DataError(`a response to the prompt ${id} melts into the prompt's last token`, {
        hint: "The reference code's tokenisation can't be had of this model here: set wrpo.tokenisation to own.",
      });
    return [...both.slice(whole.length), eosId];
  });
  const longest = Math.max(...answers.map(({ length }) => length));
  const prompt = whole.length + longest > max_length ? whole.slice(-max_prompt_length) : whole;
  const cut = prompt.length + longest > max_length;
  const room = max_length - max_prompt_length;
  return {
    prompt,
    responses: cut ? answers.map((answer) => answer.slice(0, room)) : answers,
    shortened: prompt.length < whole.length,
    cut: cut && longest > room,
  };
}

/** An empty system message where there is none, and the template speaks of one. */
function withSystem(messages: readonly Turn[], { chatTemplate = "" }: Tokenizer): readonly Turn[] {
  const refers = ["system", "<|im_start|>"].some((sign) => chatTemplate.includes(sign));
  return messages[0]?.role === "system" || !refers ? messages : [{ role: "system", content: "" }, ...messages];
}
