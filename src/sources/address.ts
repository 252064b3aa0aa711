import { type CallRecipe, contentKey, type EndpointRecipe, EnvironmentError, RecipeError } from "../schema/index.ts";
import type { WireAddress, WireFormat } from "./formats/format.ts";
import { formatOf } from "./formats/index.ts";
import { type Secrets, secretsOf } from "./secrets.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where an endpoint is, and what proves who asks. */
export interface EndpointAddress {
  /** The base URL without user, password and query: what may be shown. */
  readonly shown: string;
  /** Where a call goes. */
  readonly callUrl: URL;
  readonly modelsUrl: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** What proves who asks, in words, for errors. */
  readonly keyInWords: string;
  readonly secrets: Secrets;
}

/**
 * Reads a recipe's URL, given as the server's base (`https://host/v1`) or with the path of calls (`/chat/completions`)
 * after it, and the keys from the environment. A query (`?api-version=`) stays on every call. Throws EnvironmentError
 * for a missing or unusable key, RecipeError where the URL and `key_env` both give credentials.
 */
export function endpointAddress(
  recipe: EndpointRecipe,
  environment: Environment,
  format: WireFormat = formatOf(recipe),
): EndpointAddress & { readonly identity: string } {
  return { ...callAddress(recipe, environment, format), identity: endpointIdentity(recipe) };
}

/** The same for calls of any kind. */
export function callAddress(recipe: CallRecipe, environment: Environment, format: WireAddress): EndpointAddress {
  const url = new URL(recipe.url);
  const user = credentialsOf(url);
  if (user !== undefined && recipe.key_env !== undefined) {
    throw new RecipeError("the endpoint's URL carries a user name, and key_env names a key as well", {
      field: "endpoint.url",
      hint: "Keep one of the two; key_env is the safer one.",
    });
  }
  const key = recipe.key_env === undefined ? undefined : headerFrom(recipe.key_env, environment, "key_env", "key");
  const basic = user === undefined ? undefined : Buffer.from(`${user.name}:${user.password}`).toString("base64");
  const further = Object.fromEntries(
    Object.entries(recipe.headers_env).map(([name, variable]) => [
      name.toLowerCase(),
      headerFrom(variable, environment, `headers_env.${name}`, "header"),
    ]),
  );
  const secretParameters = [...url.searchParams].filter(([name]) => /key|token|secret|sig|pass/i.test(name));
  return {
    ...placesOf(url, format),
    headers: {
      "user-agent": "amalgam",
      ...format.headers,
      ...(key === undefined ? {} : keyHeader(recipe, url, format, key)),
      ...(basic === undefined ? {} : { authorization: `Basic ${basic}` }),
      ...further,
    },
    keyInWords: credentialsInWords(recipe.key_env, user !== undefined),
    secrets: secretsOf([
      ...[key ?? "", user?.password ?? "", basic ?? ""],
      // Of "Bearer xyz", xyz alone is secret, too.
      ...Object.values(further).flatMap((value) => [value, value.slice(value.indexOf(" ") + 1)]),
      ...secretParameters.map(([, value]) => value),
    ]),
  };
}

/** The header that the recipe names carries the key alone; Azure's deployments take it in `api-key`. */
function keyHeader(
  { key_header }: CallRecipe,
  url: URL,
  format: WireAddress,
  key: string,
): Readonly<Record<string, string>> {
  const named = key_header?.toLowerCase() ?? (url.pathname.includes("/openai/deployments/") ? "api-key" : undefined);
  if (named === undefined || named === format.keyHeader.name)
    return { [format.keyHeader.name]: format.keyHeader.before + key };
  return { [named]: named === "authorization" ? `Bearer ${key}` : key };
}

function credentialsInWords(variable: string | undefined, hasUser: boolean): string {
  if (variable !== undefined) return `the key in ${variable}`;
  return hasUser ? "the user name and password of its URL" : "calls without a key (the recipe names no key_env)";
}

/**
 * Content key of what the answers depend on, and no key: the shown URL and the model, and what of the recipe changes the
 * text that the model reads or the one that is kept.
 */
export function endpointIdentity(recipe: EndpointRecipe): string {
  const { url, model, format, chat_template, special_tokens, body, thinking } = recipe;
  return contentKey({
    url: placesOf(new URL(url), formatOf(recipe)).shown,
    model,
    ...(format === "chat" ? {} : { format }),
    ...(chat_template === undefined ? {} : { chat_template, special_tokens }),
    ...(Object.keys(body).length === 0 ? {} : { body }),
    ...(thinking === "apart" ? {} : { thinking }),
  });
}

/** The same address without its key: for what is asked before there is one. */
export function publicAddress(
  recipe: Pick<CallRecipe, "url">,
  format: WireAddress,
): Pick<EndpointAddress, "shown" | "modelsUrl"> {
  return placesOf(new URL(recipe.url), format);
}

function placesOf(
  url: URL,
  { path, tail, query = {} }: WireAddress,
): Pick<EndpointAddress, "shown" | "callUrl" | "modelsUrl"> {
  const trimmed = url.pathname.replace(/\/+$/, "");
  const base =
    tail !== undefined && trimmed.endsWith(tail) ? trimmed.slice(0, -tail.length).replace(/\/+$/, "") : trimmed;
  const at = (below: string) => new URL(`${url.origin}${base}${below}${url.search}`);
  const callUrl = at(path);
  for (const [name, value] of Object.entries(query)) callUrl.searchParams.set(name, value);
  return { shown: `${url.origin}${base}`, callUrl, modelsUrl: at("/models") };
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

/** What may stand in a header of each kind, and how this is said. */
const headerKinds = {
  key: { form: /^[\x21-\x7e]+$/, holds: "an endpoint's key", of: "digits and signs", wrong: "spaces, line breaks" },
  header: { form: /^[\x20-\x7e]+$/, holds: "a header's value", of: "digits, signs and spaces", wrong: "line breaks" },
} as const;

function headerFrom(variable: string, environment: Environment, named: string, kind: keyof typeof headerKinds): string {
  const { form, holds, of, wrong } = headerKinds[kind];
  const field = `endpoint.${named}`;
  const value = environment[variable]?.trim() ?? "";
  if (value === "")
    throw new EnvironmentError(`the environment variable ${variable} is not set: it should hold ${holds}`, {
      field,
      hint: `Set it in the shell that starts Amalgam: export ${variable}=...`,
    });
  if (form.test(value)) return value;
  throw new EnvironmentError(`the ${kind} in ${variable} has characters that no HTTP header may carry`, {
    field,
    hint: `A ${kind} is one line of ASCII letters, ${of}: look for ${wrong} and curly quotes in it.`,
  });
}
