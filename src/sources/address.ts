import { contentKey, type EndpointRecipe, EnvironmentError, RecipeError } from "../schema/index.ts";
import { type Secrets, secretsOf } from "./secrets.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where an endpoint is, and what proves who asks. */
export interface EndpointAddress {
  /** The base URL without user, password and query: what may be shown. */
  readonly shown: string;
  /** See `endpointIdentity`. */
  readonly identity: string;
  readonly chatUrl: URL;
  readonly modelsUrl: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** What proves who asks, in words, for errors. */
  readonly keyInWords: string;
  readonly secrets: Secrets;
}

const chatPath = "/chat/completions";

/**
 * Reads a recipe's URL, given as the server's base (`https://host/v1`) or with `/chat/completions` after it, and the
 * key from the environment. A query (`?api-version=`) stays on every call. Throws EnvironmentError for a missing or
 * unusable key, RecipeError where the URL and `key_env` both give credentials.
 */
export function endpointAddress(recipe: EndpointRecipe, environment: Environment): EndpointAddress {
  const url = new URL(recipe.url);
  const user = credentialsOf(url);
  if (user !== undefined && recipe.key_env !== undefined) {
    throw new RecipeError("the endpoint's URL carries a user name, and key_env names a key as well", {
      field: "endpoint.url",
      hint: "Keep one of the two; key_env is the safer one.",
    });
  }
  const key = recipe.key_env === undefined ? undefined : keyFrom(recipe.key_env, environment);
  const basic = user === undefined ? undefined : Buffer.from(`${user.name}:${user.password}`).toString("base64");
  const authorization = key !== undefined ? `Bearer ${key}` : basic !== undefined ? `Basic ${basic}` : undefined;
  const secretParameters = [...url.searchParams].filter(([name]) => /key|token|secret|sig|pass/i.test(name));
  return {
    ...placesOf(url),
    identity: endpointIdentity(recipe),
    headers: { "user-agent": "amalgam", ...(authorization === undefined ? {} : { authorization }) },
    keyInWords: credentialsInWords(recipe.key_env, user !== undefined),
    secrets: secretsOf([key ?? "", user?.password ?? "", basic ?? "", ...secretParameters.map(([, value]) => value)]),
  };
}

function credentialsInWords(variable: string | undefined, hasUser: boolean): string {
  if (variable !== undefined) return `the key in ${variable}`;
  return hasUser ? "the user name and password of its URL" : "calls without a key (the recipe names no key_env)";
}

/** Content key of the shown URL and the model: what the answers depend on, and no key. */
export const endpointIdentity = ({ url, model }: EndpointRecipe): string =>
  contentKey({ url: placesOf(new URL(url)).shown, model });

/** The same address without its key: for what is asked before there is one. */
export function publicAddress(recipe: EndpointRecipe): Pick<EndpointAddress, "shown" | "modelsUrl"> {
  return placesOf(new URL(recipe.url));
}

function placesOf(url: URL): Pick<EndpointAddress, "shown" | "chatUrl" | "modelsUrl"> {
  const trimmed = url.pathname.replace(/\/+$/, "");
  const path = trimmed.endsWith(chatPath) ? trimmed.slice(0, -chatPath.length).replace(/\/+$/, "") : trimmed;
  const at = (below: string) => new URL(`${url.origin}${path}${below}${url.search}`);
  return { shown: `${url.origin}${path}`, chatUrl: at(chatPath), modelsUrl: at("/models") };
}

function credentialsOf(url: URL): { readonly name: string; readonly password: string } | undefined {
  if (url.username === "" && url.password === "") return undefined;
  return { name: decoded(url.username), password: decoded(url.password) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function keyFrom(variable: string, environment: Environment): string {
  const key = environment[variable]?.trim() ?? "";
  if (key === "") {
    throw new EnvironmentError(`the environment variable ${variable} is not set: it should hold an endpoint's key`, {
      field: "endpoint.key_env",
      hint: `Set it in the shell that starts Amalgam: export ${variable}=...`,
    });
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new EnvironmentError(`the key in ${variable} has characters that no HTTP header may carry`, {
      field: "endpoint.key_env",
      hint: "A key is one line of ASCII letters, digits and signs: look for spaces, line breaks and curly quotes in it.",
    });
  }
  return key;
}
