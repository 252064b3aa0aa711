import {
  type AnyIterable,
  contentKey,
  type EndpointRecipe,
  RecipeError,
  type SampledResponse,
  type SampleOutcome,
  type SampleRequest,
  type Sampling,
  type Source,
} from "../schema/index.ts";
import type { EndpointOptions } from "./calls.ts";
import { readChoice } from "./choice.ts";
import { type EndpointClient, openEndpointClient } from "./client.ts";
import { CallError, RejectedFieldError } from "./client-errors.ts";
import type { ChatCompletion, ChatRequest } from "./completion.ts";
import { samenessWatch } from "./sameness.ts";
import { estimatedTokens, responseTokens } from "./tokens.ts";
import { gathered } from "./workers.ts";

/**
 * A server as a source of responses. Several responses to a prompt come from one
 * call where `native_n` is on and the server can; what a call leaves out is asked for again. Each call has a seed of
 * its own, made of (sampling's seed, the source, the prompt, the first index asked for).
 * A response that can't be had is a SampleFailure; SourceError ends the sampling when no call can go well before a
 * person has done something. Throws EnvironmentError at once when the key is missing.
 */
export function openEndpoint(name: string, recipe: EndpointRecipe, options: EndpointOptions = {}): Source {
  const client = openEndpointClient(recipe, options);
  const notice = (text: string) => options.notice?.(`source ${name}, ${client.url}: ${text}`);
  const drawer = newDrawer(client, recipe, notice);
  return {
    name,
    identity: client.identity,
    sample: (requests, sampling, signal) =>
      gathered<SampleRequest, SampleOutcome>(
        drawer.tasks(requests),
        client.concurrency,
        (task, emit, stop) => drawer.draw(task, sampling, emit, stop),
        signal,
      ),
    close: () => client.close(),
  };
}

type Emit = (outcome: SampleOutcome) => void;

/** Identical texts of this many characters from one call mean that the server drew all its choices with one seed. */
const suspectLength = 200;

function newDrawer(client: EndpointClient, recipe: EndpointRecipe, notice: (text: string) => void) {
  let oneEach = !recipe.native_n || recipe.format === "anthropic";
  let unreported = false;
  let bare = false;
  const sameAgain = samenessWatch();

  const giveUpN = (why: string): void => {
    if (!oneEach) notice(`${why}; from now on each response is asked for alone`);
    oneEach = true;
  };

  const draw = async (request: SampleRequest, sampling: Sampling, emit: Emit, stop: AbortSignal): Promise<void> => {
    let missing = [...request.indices];
    let fault = "";
    for (let fruitless = 0; missing.length > 0 && fruitless <= client.retries; ) {
      if (oneEach && missing.length > 1) {
        await Promise.all(missing.map((index) => draw({ ...request, indices: [index] }, sampling, emit, stop)));
        return;
      }
      let completion: ChatCompletion;
      try {
        completion = await client.chatCompletion(
          chatRequest(client, recipe, request, missing, sampling, fruitless),
          stop,
        );
      } catch (error) {
        if (error instanceof RejectedFieldError && error.rejected === "n" && missing.length > 1) {
          giveUpN("takes no n");
          continue;
        }
        if (!(error instanceof CallError)) throw error;
        fault = error.message;
        break;
      }
      if (!completion.usage && !unreported) {
        unreported = true;
        notice("reports no usage: tokens are counted as one for four bytes");
      }
      const read = readCompletion(completion, request, missing.length, client, recipe);
      if (recipe.logprobs && !bare && read.responses.some(({ extras }) => extras?.logprobs === undefined)) {
        bare = true;
        notice("gives no log-probs, which the recipe asks for");
      }
      if (missing.length > 1 && sampling.temperature > 0 && allAlike(read.responses)) {
        giveUpN("answers n with one text n times over");
        read.responses.length = 1;
      }
      for (const [i, response] of read.responses.entries()) {
        emit({ promptId: request.promptId, index: missing[i]!, ...response });
        if (oneEach && sampling.temperature > 0 && sameAgain(request.promptId, response.text))
          notice(
            "answers a prompt with one text whatever the seed: does it sample at all? Look at the server's settings",
          );
      }
      if (read.choices === 1 && missing.length > 1) giveUpN("gives one response however many are asked for");
      missing = missing.slice(read.responses.length);
      if (read.responses.length > 0) continue;
      fruitless += 1;
      const times = fruitless === 1 ? "" : `, tried ${fruitless} times`;
      fault = `${client.url}: ${client.clean(read.fault)}${times}`;
      if (!read.again) break;
    }
    for (const index of missing) emit({ promptId: request.promptId, index, failure: fault });
  };

  return {
    draw,
    /** The tasks of the workers: a prompt each, or a response each once it is known that the server can't do several. */
    async *tasks(requests: AnyIterable<SampleRequest>): AsyncGenerator<SampleRequest> {
      for await (const request of requests) {
        if (!oneEach) yield request;
        else for (const index of request.indices) yield { ...request, indices: [index] };
      }
    },
  };
}

function chatRequest(
  { identity }: EndpointClient,
  { logprobs }: EndpointRecipe,
  { messages }: SampleRequest,
  indices: readonly number[],
  sampling: Sampling,
  fruitless: number,
): ChatRequest {
  const { temperature, top_p, top_k, max_tokens, stop, seed, regex, json_schema, ...others } = sampling;
  if (regex !== undefined)
    throw new RecipeError(
      "a server can't be held to a regex: servers differ in how it is asked for, or don't see that it is",
      {
        field: "sampling.regex",
        hint: "Give the source a json_schema in its own sampling, or the server's own field.",
      },
    );
  const stream = contentKey({ seed, identity, messages, index: indices[0], ...(fruitless > 0 ? { fruitless } : {}) });
  return {
    messages,
    max_tokens,
    temperature,
    top_p,
    ...(top_k > 0 ? { top_k } : {}),
    ...others,
    ...(json_schema === undefined
      ? {}
      : { response_format: { type: "json_schema", json_schema: { name: "response", schema: json_schema } } }),
    ...(stop.length > 0 ? { stop } : {}),
    ...(indices.length > 1 ? { n: indices.length } : {}),
    ...(logprobs ? { logprobs } : {}),
    // 31 bits: there are servers that read the seed as a signed 32-bit number.
    seed: Number.parseInt(stream.slice(0, 8), 16) >>> 1,
  };
}

type Drawn = Pick<SampledResponse, "text" | "finish" | "promptTokens" | "responseTokens" | "extras">;

interface ReadCompletion {
  readonly responses: Drawn[];
  readonly choices: number;
  /** Why a choice is no response, for the last such choice. */
  readonly fault: string;
  readonly again: boolean;
}

function readCompletion(
  completion: ChatCompletion,
  { messages }: SampleRequest,
  wanted: number,
  client: EndpointClient,
  recipe: EndpointRecipe,
): ReadCompletion {
  const promptBytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  const promptTokens = completion.usage?.prompt_tokens ?? estimatedTokens(promptBytes);
  const choices = [...completion.choices].sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
  const tokens = responseTokens(choices, completion.usage);
  const begun = client.begunThinking(messages);
  const responses: Drawn[] = [];
  let fault = "the answer has no choices";
  let again = true;
  for (const [i, choice] of choices.entries()) {
    const read = readChoice(choice, { ...recipe, begun });
    if ("fault" in read) {
      ({ fault, again } = read);
    } else if (client.holdsSecret(read.text + (read.extras?.reasoning ?? ""))) {
      fault = "the completion repeats the endpoint's key, so it was not kept";
    } else if (responses.length < wanted) {
      responses.push({ ...read, promptTokens, responseTokens: tokens[i]! });
    }
  }
  return { responses, choices: choices.length, fault, again };
}

function allAlike(responses: readonly Drawn[]): boolean {
  const [first, ...others] = responses;
  if (first === undefined || others.length === 0 || first.text.length < suspectLength) return false;
  return others.every(({ text }) => text === first.text);
}
