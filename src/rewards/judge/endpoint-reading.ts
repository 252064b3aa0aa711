import type { EndpointRecipe, SourceError } from "../../schema/index.ts";
import {
  CallError,
  type EndpointClient,
  type EndpointOptions,
  endpointIdentity,
  gathered,
  openEndpointClient,
  RejectedFieldError,
} from "../../sources/index.ts";
import type { Question, Said } from "./judge.ts";

interface Unheard {
  readonly failure: string;
}

/**
 * A model behind a server, asked each question by `ask`. A call that failed for good is a failure of its question; a server that
 * refuses a field can't be this judge, and `unfit` says so. No key is needed where every response has its rating already.
 */
export function endpointReading<Heard extends object = Said>(
  recipe: EndpointRecipe,
  options: EndpointOptions,
  ask: (client: EndpointClient, question: Question, signal: AbortSignal) => Promise<Heard | Unheard>,
  unfit: (error: RejectedFieldError) => SourceError,
) {
  let opened: EndpointClient | undefined;
  const said = async (client: EndpointClient, question: Question, signal: AbortSignal): Promise<Heard | Unheard> => {
    try {
      return await ask(client, question, signal);
    } catch (error) {
      if (error instanceof CallError) return { failure: error.message };
      throw error instanceof RejectedFieldError ? unfit(error) : error;
    }
  };
  return {
    identity: endpointIdentity(recipe),
    read(questions: readonly Question[], signal: AbortSignal): AsyncIterable<{ index: number } & (Heard | Unheard)> {
      opened ??= openEndpointClient(recipe, options);
      const client = opened;
      return gathered<[number, Question], { index: number } & (Heard | Unheard)>(
        questions.entries(),
        client.concurrency,
        async ([index, question], emit, stop) => emit({ index, ...(await said(client, question, stop)) }),
        signal,
      );
    },
    close: async () => opened?.close(),
  };
}
