import type { PairRankerFiles } from "../../models/index.ts";
import { DataError, type Message, ModelError } from "../../schema/index.ts";

/** A prompt and a response as texts of a comparison, in the words of LLM-Blender's code. */
interface Spoken {
  readonly source: string;
  readonly candidate: string;
}

/** A text in tokens, begun by [CLS] and a mark, ended by [SEP]; `cut` of its own tokens are left out. */
export interface MarkedText {
  readonly ids: readonly number[];
  readonly cut: number;
}

const conversation =
  "Finish the following coversation in each i-th turn by filling in <Response i> with your response.";

/**
 * The texts that are compared. One question stands as it is; of a longer conversation, which says as much as LLM-Blender's own code (its spelling, too), the
 * responses are a candidate together. What the system said stands before it all, without a space, as LLM-Blender has its instructions.
 *
 * @throws DataError where user and assistant don't speak in turn.
 */
export function spoken(prompt: readonly Message[], response: string): Spoken {
  const [system, turns] = prompt[0]?.role === "system" ? [prompt[0].content, prompt.slice(1)] : ["", prompt];
  if (turns.length % 2 === 0 || turns.some(({ role }, at) => role !== (at % 2 === 0 ? "user" : "assistant")))
    throw new DataError(
      "user and assistant don't speak in turn, so the conversation can't be laid out for a comparison",
    );
  if (turns.length === 1) return { source: `${system}${turns[0]!.content}`, candidate: response };
  const asked = turns
    .filter((_, at) => at % 2 === 0)
    .map(({ content }, k) => `USER: ${content}\nAssistant: <Response ${k + 1}>`);
  const answers = [...turns.filter((_, at) => at % 2 === 1).map(({ content }) => content), response];
  return {
    source: `${system}${conversation}${asked.join("\n")}`,
    candidate: answers.map((content, k) => `<Response ${k + 1}>: ${content}`).join("\n"),
  };
}

/** What stands before each text, by which `marks` it is. */
const markTexts = { source: "<|source|>", first: "<|candidate1|>", second: "<|candidate2|>" } as const;

/**
 * How a text becomes tokens for a pair ranker: begun by [CLS] and a mark, ended by [SEP], `longest` of them at most. No part of the text is
 * taken for one of these. Special tokens that are written in it become a space, as LLM-Blender's own code has it with [SEP]; what only becomes
 * one by the tokenizer's normalizer is left out. The function throws a DataError for half a surrogate pair.
 *
 * @throws ModelError for a tokenizer that is not DeBERTa-v3's with PairRM's marks.
 */
export function pairLayout({
  tokenizer,
  ranker,
  label,
  path,
}: PairRankerFiles): (text: string, mark: number, longest: number) => MarkedText {
  const wrong = (message: string) =>
    new ModelError(`the tokenizer of ${label} ${message}`, {
      file: path,
      hint: "Its files belong to another model, or were changed: fetch the folder again.",
    });
  for (const [name, text] of Object.entries(markTexts)) {
    const [id, stated] = [tokenizer.tokenId(text), ranker.marks[name as keyof typeof markTexts]];
    if (id !== stated) throw wrong(`has ${JSON.stringify(text)} as token ${id ?? "none"}, config.json as ${stated}`);
  }
  const { json, config } = tokenizer.parts;
  const named = (token: string | null | undefined) => (token ? tokenizer.tokenId(token) : undefined);
  const [begin, end] = [named(config.cls_token), named(config.sep_token)];
  if (begin === undefined || end === undefined) throw wrong("names no cls_token and sep_token");
  // One that puts a space before a whole text only would read a text behind a mark otherwise than alone.
  const probe = "one";
  const behind = tokenizer.encode(`${markTexts.source}${probe}`, { special: true });
  if (behind.join() !== [ranker.marks.source, ...tokenizer.encode(probe, { literal: true })].join())
    throw wrong("reads a text behind a mark otherwise than alone");

  const special = json.added_tokens.filter((token) => token.special).map(({ content }) => content);
  const control = new Set([...json.added_tokens.map(({ id }) => id), begin, end]);
  // Characters that the tokenizer doesn't know are none of these.
  control.delete(json.model.unk_id as number);
  return (text, mark, longest) => {
    const plain = special.reduce((rest, token) => rest.replaceAll(token, " "), text);
    const ids = tokenizer.encode(plain, { literal: true }).filter((id) => !control.has(id));
    const kept = ids.slice(0, longest - 3);
    return { ids: [begin, mark, ...kept, end], cut: ids.length - kept.length };
  };
}
