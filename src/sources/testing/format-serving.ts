import type { EndpointRecipe, Message, SampledResponse } from "../../schema/index.ts";
import { never, openPeer, sampling } from "./asking.ts";
import type { Handler } from "./local-server.ts";
import { serving } from "./serving.ts";

export const conversation: readonly Message[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello." },
  { role: "user", content: "How are you?" },
];

/** Servers that speak a format, and sources on them, for the tests of a file. */
export function formatServing() {
  const { closing, serve } = serving();
  const open = (...given: Parameters<typeof openPeer>) => closing(openPeer(...given));
  /** The responses to one conversation, n of them. */
  const answersTo = async (url: string, recipe: Partial<EndpointRecipe>, n = 1) => {
    const request = { promptId: "p", messages: conversation, indices: Array.from({ length: n }, (_, i) => i) };
    const all: unknown[] = [];
    for await (const outcome of open(url, recipe).sample([request], { ...sampling, top_k: 40, stop: ["##"] }, never))
      all.push(outcome);
    return all as SampledResponse[];
  };
  return { serve, open, answersTo };
}

export const streamed =
  (events: readonly (object | string)[], head: Record<string, string> = {}): Handler =>
  (_, answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream", ...head });
    for (const event of events) answer.write(`data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`);
    answer.end();
  };
