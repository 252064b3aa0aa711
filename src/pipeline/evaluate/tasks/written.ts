import { z } from "zod";
import type { Prompt } from "../../../evaluation/index.ts";
import {
  Engine,
  type EngineRequest,
  randomStream,
  responsesOf,
  textOf,
  textStopper,
} from "../../../generation/index.ts";
import { disposeModel, loadFiles, type ModelFiles, modelIdentity } from "../../../models/index.ts";
import { contentKey, type EndpointRecipe, type ModelRecipe } from "../../../schema/index.ts";
import { plainReading } from "../../../scoring/index.ts";
import { CallError, endpointIdentity, gathered, openPlainCompletions } from "../../../sources/index.ts";
import { ask } from "../asking.ts";
import type { Answering, Evaluation } from "../evaluation.ts";
import { type Failed, type Outcome, remembered } from "../remembered.ts";

const writtenSchema = z.object({
  text: z.string(),
  /** Tokens that the prompt lost at its beginning. */
  cut: z.number(),
});
/** What a model writes after a prompt, up to the first text that ends it. */
export type Written = z.infer<typeof writtenSchema>;

export interface Ending {
  readonly until: readonly string[];
  readonly maxTokens: number;
}

/** Documents whose answers are written together. */
const documentsTogether = 512;
const version = 1;

/**
 * What a model goes on with after each prompt, most probable token by most probable token, as lm-eval lets it: the prompt is plain text.
 * Only a server that has chats alone is sent the prompt as a user's message.
 */
export async function writtenAnswers(
  evaluation: Evaluation,
  label: string,
  answering: Answering,
  prompts: readonly Prompt[],
  ending: Ending,
): Promise<(Written | Failed)[]> {
  const texts = prompts.map(({ requests }) => requests[0]!.context);
  const keep = (
    identity: string,
    work: (missing: readonly number[], signal: AbortSignal) => AsyncIterable<Outcome<Written>>,
  ) =>
    remembered(evaluation, {
      owner: identity,
      label,
      unit: "answers",
      keys: texts.map((text) => contentKey({ kind: "written", version, identity, text, ...ending })),
      schema: writtenSchema,
      work,
    });
  const { embedded, endpoint } = answering;
  if (embedded !== undefined) {
    const { files, recipe } = embedded;
    return await keep(modelIdentity(files, recipe), (missing, signal) =>
      embeddedWriting(files, recipe, texts, missing, ending, signal),
    );
  }
  if (endpoint?.format === "completions")
    return await keep(endpointIdentity(endpoint), (missing, signal) =>
      endpointWriting(evaluation, endpoint, texts, missing, ending, signal),
    );
  const sampling = {
    temperature: 0,
    top_p: 1,
    top_k: 0,
    max_tokens: ending.maxTokens,
    stop: [...ending.until],
    seed: 0,
  };
  const answers = await ask(
    evaluation,
    label,
    answering.source,
    prompts.map(({ group, index, requests }) => ({
      id: JSON.stringify([group ?? "", index]),
      messages: [{ role: "user" as const, content: requests[0]!.context }],
      sampling,
    })),
  );
  return answers.map((answer) => ("failure" in answer ? answer : { text: upTo(answer.text, ending.until), cut: 0 }));
}

/** The text before the first of these. */
function upTo(text: string, until: readonly string[]): string {
  const found = until.map((end) => text.indexOf(end)).filter((at) => at >= 0);
  return found.length === 0 ? text : text.slice(0, Math.min(...found));
}

async function* embeddedWriting(
  files: ModelFiles,
  recipe: ModelRecipe,
  texts: readonly string[],
  missing: readonly number[],
  { until, maxTokens }: Ending,
  signal: AbortSignal,
): AsyncGenerator<Outcome<Written>> {
  const { tokenizer } = files;
  const reading = plainReading(files);
  const ends = { stops: until };
  const model = loadFiles(files, recipe);
  const engine = new Engine(model.decoder);
  try {
    const left = engine.room - maxTokens;
    for (let from = 0; from < missing.length; from += documentsTogether) {
      const asked: { index: number; cut: number; request: EngineRequest }[] = [];
      for (const index of missing.slice(from, from + documentsTogether)) {
        const ids = reading.encode(texts[index]!);
        if (left < 1 || ids.length === 0) {
          yield { index, failure: `${ids.length} tokens and up to ${maxTokens} more have no room in ${engine.room}` };
          continue;
        }
        const prompt = ids.slice(-left);
        const request = {
          prompt,
          // The most probable tokens are taken: no number is drawn.
          streams: [randomStream("task")],
          sampler: { temperature: 0, topP: 1, topK: 0 },
          maxTokens,
          endIds: new Set(tokenizer.stopIds),
          ...textStopper(tokenizer, ends),
        };
        asked.push({ index, cut: ids.length - prompt.length, request });
      }
      const requests = asked.map(({ request }) => request);
      for await (const { request, ids } of responsesOf(engine, requests, signal)) {
        const { index, cut } = asked[request]!;
        yield { index, value: { text: textOf(tokenizer, ends, ids), cut } };
      }
      if (signal.aborted) return;
    }
  } finally {
    await engine.close();
    disposeModel(model);
  }
}

async function* endpointWriting(
  { listener, account }: Evaluation,
  endpoint: EndpointRecipe,
  texts: readonly string[],
  missing: readonly number[],
  { until, maxTokens }: Ending,
  signal: AbortSignal,
): AsyncGenerator<Outcome<Written>> {
  const calls = openPlainCompletions(endpoint, {
    notice: (text) => listener.notice(text),
    ...(account === undefined ? {} : { budget: account.budget }),
  });
  try {
    yield* gathered<number, Outcome<Written>>(
      missing,
      endpoint.concurrency,
      async (index, emit, stop) => {
        try {
          // OpenAI takes four at most; the others are found in the text.
          const { text } = await calls.call({ prompt: texts[index]!, maxTokens, stop: until.slice(0, 4) }, stop);
          emit({ index, value: { text: upTo(text, until), cut: 0 } });
        } catch (error) {
          if (!(error instanceof CallError)) throw error;
          emit({ index, failure: error.message });
        }
      },
      signal,
    );
  } finally {
    await calls.close();
  }
}
