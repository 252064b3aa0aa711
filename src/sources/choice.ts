import type { Finish } from "../schema/index.ts";
import type { ChatChoice } from "./wire.ts";

/** A choice as a response, or why it is none; `again` where another draw may be better. */
export type ReadChoice =
  | { readonly text: string; readonly finish: Finish }
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
};

/** Reads one choice of a chat completion as a response to train on. */
export function readChoice({ message, finish_reason: reason }: ChatChoice): ReadChoice {
  const text = message.content ?? "";
  if (reason === "content_filter") return { fault: "a content filter held the completion back", again: true };
  if (message.refusal) return { fault: "the model refused to answer", again: true };
  const finish = finishes[reason ?? ""];
  if (text.trim() === "") {
    return finish === "length"
      ? { fault: "max_tokens ran out before any text came (a reasoning model thinks first): raise it", again: false }
      : { fault: "the completion is empty", again: true };
  }
  if (finish === undefined) {
    const said = reason ? `finish_reason "${reason}"` : "no finish_reason";
    return { fault: `the completion has ${said}: it may not be whole`, again: true };
  }
  return { text, finish };
}
