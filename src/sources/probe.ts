import { AmalgamError, type CallRecipe, type EndpointRecipe, type ScoringEndpointRecipe } from "../schema/index.ts";
import { callAddress, type EndpointAddress, type Environment, publicAddress } from "./address.ts";
import { type Answer, connections, exchange, NoAnswer } from "./exchange.ts";
import type { WireAddress } from "./formats/format.ts";
import { formatOf } from "./formats/index.ts";
import { scoringAddress } from "./scoring-address.ts";
import { parseJson, parseModels } from "./wire.ts";

export interface EndpointFinding {
  readonly check: "key set" | "reachable" | "key accepted" | "model listed";
  /** `unknown`: the server gives no way to tell without a paid call. */
  readonly outcome: "ok" | "problem" | "unknown";
  /** One plain sentence. */
  readonly text: string;
  readonly hint?: string;
}

const longestMs = 10_000;

/**
 * Looks at an endpoint without asking it for a completion: is the key set, does the server answer, does it accept the
 * key, does `GET /models` list the model? Never throws for what it finds; a check that an earlier problem makes
 * pointless is left out. Rejects with the signal's reason when it aborts.
 */
export async function probeEndpoint(
  recipe: EndpointRecipe | ScoringEndpointRecipe,
  options: { readonly environment?: Environment; readonly signal?: AbortSignal } = {},
): Promise<EndpointFinding[]> {
  const environment = options.environment ?? process.env;
  const signal = options.signal ?? new AbortController().signal;
  const dispatcher = connections(environment);
  const ask = (url: URL, headers: Readonly<Record<string, string>>) =>
    exchange(
      dispatcher,
      { method: "GET", url, headers, timeoutMs: Math.min(longestMs, recipe.timeout_seconds * 1000) },
      signal,
    );
  try {
    const scoring = !("format" in recipe);
    const format = scoring ? scoringAddress() : formatOf(recipe);
    const { address, finding } = readKey(recipe, environment, format);
    const { shown, modelsUrl } = address ?? publicAddress(recipe, format);
    let answer: Answer;
    try {
      answer = await ask(modelsUrl, address?.headers ?? {});
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      const text = `${shown} does not answer: ${error.message}.`;
      return [
        finding,
        { check: "reachable", outcome: "problem", text, hint: "Check that the server is up, and the endpoint's url." },
      ];
    }
    const reachable = reachability(shown, answer);
    if (address === undefined || reachable.outcome === "problem") return [finding, reachable];
    const bare = answer.status === 200 && address.headers.authorization !== undefined;
    const open = bare && (await ask(modelsUrl, {}).then(({ status }) => status === 200, returnFalse));
    const key = keyFinding(address, recipe, answer, open);
    signal.throwIfAborted();
    // A server of scores need not list anything.
    if (key.outcome === "problem" || recipe.model === undefined || scoring) return [finding, reachable, key];
    return [finding, reachable, key, modelFinding(address, recipe.model, answer)];
  } finally {
    await dispatcher.destroy();
  }
}

const returnFalse = (): boolean => false;

function readKey(
  recipe: CallRecipe,
  environment: Environment,
  format: WireAddress,
): { readonly address?: EndpointAddress; readonly finding: EndpointFinding } {
  const check = "key set";
  try {
    const address = callAddress(recipe, environment, format);
    const { key_env } = recipe;
    const text = key_env === undefined ? "The recipe names no key_env: calls go without a key." : `${key_env} is set.`;
    return { address, finding: { check, outcome: "ok", text } };
  } catch (error) {
    if (!(error instanceof AmalgamError)) throw error;
    const text = `${error.message[0]!.toUpperCase()}${error.message.slice(1)}.`;
    return { finding: { check, outcome: "problem", text, ...(error.hint === undefined ? {} : { hint: error.hint }) } };
  }
}

function reachability(shown: string, { status }: Answer): EndpointFinding {
  const check = "reachable";
  if (status >= 500 && status !== 501) {
    const hint = "Look at the server's own log, or try again later.";
    return { check, outcome: "problem", text: `${shown} answers, but with a failure (HTTP ${status}).`, hint };
  }
  if (status >= 300 && status < 400) {
    const hint = "Put the URL that it redirects to into the endpoint's url.";
    return { check, outcome: "problem", text: `${shown} sends calls on to another place (HTTP ${status}).`, hint };
  }
  return { check, outcome: "ok", text: `${shown} answers.` };
}

function keyFinding(
  { shown, keyInWords }: EndpointAddress,
  { key_env }: CallRecipe,
  { status }: Answer,
  open: boolean,
): EndpointFinding {
  const check = "key accepted";
  if (status === 401 || status === 403) {
    const hint =
      key_env === undefined
        ? "Put the key into an environment variable and name it in the endpoint's key_env."
        : `Check that ${key_env} holds a valid key of this server.`;
    return { check, outcome: "problem", text: `${shown} does not accept ${keyInWords} (HTTP ${status}).`, hint };
  }
  if (open) {
    return { check, outcome: "unknown", text: `${shown} shows its models to anyone: the first call will tell.` };
  }
  if (status === 200) return { check, outcome: "ok", text: `${shown} accepts ${keyInWords}.` };
  return { check, outcome: "unknown", text: `${shown} has no GET /models (HTTP ${status}): the first call will tell.` };
}

function modelFinding({ shown, secrets }: EndpointAddress, model: string, { status, body }: Answer): EndpointFinding {
  const check = "model listed";
  const json = parseJson(body);
  const models = "fault" in json ? json : parseModels(json.value);
  if (status !== 200 || "fault" in models) {
    return {
      check,
      outcome: "unknown",
      text: `${shown} does not list its models: the first call will tell whether it has "${model}".`,
      hint: "If calls fail, check the endpoint's url: most servers want one that ends in /v1.",
    };
  }
  if (models.value.includes(model)) return { check, outcome: "ok", text: `${shown} lists "${model}".` };
  const near = nearest(models.value, model)
    .join(", ")
    .replace(/\p{Cc}/gu, " ");
  return {
    check,
    outcome: "problem",
    text: `${shown} does not list "${model}" among its ${models.value.length} models.`,
    hint:
      models.value.length === 0 ? "Load a model on the server." : `The nearest: ${secrets.scrub(near).slice(0, 300)}.`,
  };
}

/** Up to five names, those first that share the most letter pairs with the one that was looked for. */
function nearest(names: readonly string[], wanted: string): string[] {
  const pairs = (name: string) =>
    new Set(Array.from(name.toLowerCase().slice(1), (c, i) => name.toLowerCase()[i]! + c));
  const sought = pairs(wanted);
  const likeness = (name: string) => {
    const own = pairs(name);
    return own.size === 0 ? 0 : [...own].filter((pair) => sought.has(pair)).length / (own.size + sought.size);
  };
  return [...names].sort((a, b) => likeness(b) - likeness(a)).slice(0, 5);
}
