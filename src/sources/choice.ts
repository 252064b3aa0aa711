import type { Finish, ResponseExtras } from "../schema/index.ts";
import { thinkingApart } from "../tokenizers/index.ts";
import type { ChatChoice } from "./completion.ts";

/** A choice as a response, or why it is none; `again` where another draw may be better. */
export type ReadChoice =
  | { readonly text: string; readonly finish: Finish; readonly extras?: ResponseExtras }
  | { readonly fault: string; readonly again: boolean };

/** `stop` and `length` are OpenAI's own words; the others are what compatible servers write for the same. */
const finishes: Readonly<Record<string, Finish>> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  end_turn: "stop",
  stop_sequence: "stop",
  length: "length",
  max_tokens: "length",
  model_length: "length",
  model_context_window_exceeded: "length",
};

/** Reads one choice of a chat completion as a response to train on; what the model thought before it is kept apart. */
export function readChoice(
  { message, finish_reason: reason, logprobs }: ChatChoice,
  {
    thinking,
    logprobs: keepLogProbs,
    begun,
  }: {
    readonly thinking: "apart" | "keep";
    readonly logprobs: boolean;
    /** The prompt ends with the mark that begins thoughts. */
    readonly begun: boolean;
  },
): ReadChoice {
  if (reason === "content_filter") return { fault: "a content filter held the completion back", again: true };
  if (message.refusal) return { fault: "the model refused to answer", again: true };
  const finish = finishes[reason ?? ""];
  const content = message.content ?? "";
  const apart = thinking === "keep" ? { text: content } : thinkingApart(content, begun);
  const text = "text" in apart ? apart.text : "";
  if (text.trim() === "") {
    if (finish === "length")
      return {
        fault: "max_tokens ran out before any text came (a reasoning model thinks first): raise it",
        again: false,
      };
    return { fault: "fault" in apart ? apart.fault : "the completion is empty", again: true };
  }
  if (finish === undefined) {
    const said = reason ? `finish_reason "${reason}"` : "no finish_reason";
    return { fault: `the completion has ${said}: it may not be whole`, again: true };
  }
  const reasoning = [message.reasoning, "reasoning" in apart ? apart.reasoning : undefined].filter(Boolean).join("\n");
  const kept = keepLogProbs ? logprobs?.content?.map(({ token, logprob }) => ({ token, logprob })) : undefined;
  const extras: ResponseExtras = {
    ...(reasoning === "" ? {} : { reasoning }),
    ...(kept === undefined ? {} : { logprobs: kept }),
  };
  return { text, finish, ...(Object.keys(extras).length === 0 ? {} : { extras }) };
}
