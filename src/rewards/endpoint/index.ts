import { contentKey, DataError, type RewardRecipe, type ScorePart, type ScoreRequest } from "../../schema/index.ts";
import {
  type CallApi,
  CallError,
  type Calls,
  gathered,
  openCalls,
  scoringAddress,
  type Tokens,
} from "../../sources/index.ts";
import { compileChatTemplate } from "../../tokenizers/index.ts";
import type { ComponentOutcome, RewardComponent, RewardContext } from "../component.ts";
import { parseLeniently } from "./lenient-json.ts";
import { type Item, type Protocol, protocolOf, type Told } from "./protocols.ts";
import { rewardOf } from "./value.ts";

export type EndpointRewardRecipe = Extract<RewardRecipe, { kind: "endpoint" }>;

/** Rises with every change of what is sent or how it is read. */
const endpointVersion = 1;

interface Placed {
  readonly index: number;
  readonly item: Item;
}

/**
 * A server that scores responses, called as the sources call theirs: so many at a time, with retries, limits of rate and the run's budget.
 * A call that the server refuses is halved until the response that it can't bear stands alone. A score that is missing, no number, NaN or
 * infinite is a failure of its response; a call with more or fewer scores than responses, of all of them.
 *
 * Throws ModelError for a template that is no valid Jinja. Rating throws EnvironmentError where a key is missing, SourceError where no call
 * can go well. No key is needed where every response has its score already.
 */
export function endpointComponent(
  recipe: EndpointRewardRecipe,
  context: Pick<RewardContext, "endpoint">,
  field: string,
): RewardComponent {
  const { name, endpoint, protocol: protocolName, batch_size, label } = recipe;
  const { url, model, body, chat_template, special_tokens } = endpoint;
  const templated = chat_template !== undefined;
  const protocol = protocolOf(protocolName, templated);
  const itemOf = itemMaker(endpoint, `${field}.endpoint.chat_template`);
  const target = { ...endpoint, url: baseOf(url, protocol) };
  let opened: Calls<readonly Item[], Told> | undefined;

  const outcomesOf = async (placed: readonly Placed[], signal: AbortSignal): Promise<ComponentOutcome[]> => {
    const failed = (failure: string) => placed.map(({ index }) => ({ index, failure }));
    opened ??= openCalls(target, apiOf(protocol, model), context.endpoint);
    let told: Told;
    try {
      told = await opened.call(
        placed.map(({ item }) => item),
        signal,
      );
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      if (!error.refused || placed.length === 1) return failed(error.message);
      const half = Math.ceil(placed.length / 2);
      return [...(await outcomesOf(placed.slice(0, half), signal)), ...(await outcomesOf(placed.slice(half), signal))];
    }
    const { values } = told;
    if (values.length !== placed.length)
      return failed(`${opened.url}: the server gave ${values.length} scores for ${placed.length} responses`);
    const words = (fault: string) => `${opened!.url}: ${opened!.clean(fault)}`;
    return placed.map(({ index }, at): ComponentOutcome => {
      const read = rewardOf(values[at], label);
      if ("fault" in read) return { index, failure: words(read.fault) };
      return { index, parts: [{ name, value: read.value, weight: 1 }, ...partsBeside(name, told, at)] };
    });
  };

  return {
    name: `endpoint ${name}`,
    identity: contentKey({
      kind: "endpoint",
      version: endpointVersion,
      protocol: protocolName,
      url: withoutCredentials(target.url),
      ...(model === undefined ? {} : { model }),
      ...(Object.keys(body).length === 0 ? {} : { body }),
      ...(templated ? { chat_template, special_tokens } : {}),
      ...(label === undefined ? {} : { label }),
    }),
    async *rate(requests, signal) {
      const placed: Placed[] = [];
      for (const [index, request] of requests.entries()) {
        const made = itemOf(request);
        const failure = typeof made === "string" ? made : protocol.unfit?.(made);
        if (failure !== undefined) yield { index, failure };
        else placed.push({ index, item: made as Item });
      }
      const size = Math.min(batch_size, protocol.together);
      const calls = Array.from({ length: Math.ceil(placed.length / size) }, (_, call) =>
        placed.slice(call * size, (call + 1) * size),
      );
      yield* gathered<Placed[], ComponentOutcome>(
        calls,
        endpoint.concurrency,
        async (call, emit, stop) => {
          for (const outcome of await outcomesOf(call, stop)) emit(outcome);
        },
        signal,
      );
    },
    close: async () => opened?.close(),
  };
}

/** Makes an item of a response, or says why its template refuses it. */
function itemMaker(
  { chat_template, special_tokens }: EndpointRewardRecipe["endpoint"],
  field: string,
): (request: ScoreRequest) => Item | string {
  const template = chat_template === undefined ? undefined : compileChatTemplate(chat_template, { field });
  return ({ prompt: { messages }, text }) => {
    if (template === undefined) return { messages, response: text };
    const whole = [...messages, { role: "assistant" as const, content: text }];
    try {
      return {
        messages,
        response: text,
        prompt: template.render(messages, { ...special_tokens, add_generation_prompt: true }),
        conversation: template.render(whole, { ...special_tokens, add_generation_prompt: false }),
      };
    } catch (error) {
      if (error instanceof DataError) return error.message;
      throw error;
    }
  };
}

/** Figures beside the reward; what is no number is left away, for nothing is decided by it. */
function partsBeside(name: string, { values, beside }: Told, at: number): ScorePart[] {
  return Object.entries(beside).flatMap(([key, list]) => {
    const read = rewardOf(list[at], undefined);
    const same = key === "scores" && list[at] === values[at];
    return list.length !== values.length || "fault" in read || same
      ? []
      : [{ name: `${name}:${key}`, value: read.value, weight: 0 }];
  });
}

const apiOf = (protocol: Protocol, model: string | undefined): CallApi<readonly Item[], Told> => ({
  ...scoringAddress(protocol.path),
  words: {
    wanted: "scores",
    urlHint:
      protocol.path === ""
        ? "calls go to it as it stands."
        : `it is the base of vLLM's server, below which calls go to ${protocol.path}.`,
  },
  stream: false,
  fields: () => [],
  body: (items) => ({ ...(model === undefined ? {} : { model }), ...protocol.body(items) }),
  reading: () => ({ parse: parseLeniently, read: protocol.read }),
  most: (items) => ({ inputTokens: bytesOf(items) + 256 * items.length, outputTokens: 0 }),
  used: (items): Tokens => ({ inputTokens: Math.ceil(bytesOf(items) / 4), outputTokens: 0 }),
});

const bytesOf = (items: readonly Item[]): number =>
  items.reduce(
    (sum, { messages, response }) =>
      messages.reduce((bytes, { content }) => bytes + Buffer.byteLength(content), sum + Buffer.byteLength(response)),
    0,
  );

const baseOf = (url: string, { tail }: Protocol): string => {
  if (tail === undefined) return url;
  const address = new URL(url);
  address.pathname = address.pathname.replace(tail, "");
  return address.toString();
};

function withoutCredentials(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname.replace(/\/+$/, "")}`;
}
