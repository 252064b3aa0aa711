import { type CallRecipe, SourceError } from "../schema/index.ts";
import type { EndpointAddress } from "./address.ts";
import type { Cure } from "./verdict.ts";

/** A call that failed for good, while others may go well. */
export class CallError extends SourceError {
  /** Why, without the endpoint's name before it. */
  readonly reason: string;
  /** The server is there, and did not like what this call asks: one that asks for less may go well. */
  readonly refused: boolean;

  constructor(shown: string, reason: string, refused = false) {
    super(`${shown}: ${reason}`);
    this.reason = reason;
    this.refused = refused;
  }
}

/** The server does not take a field of the request, and there is no way round it. */
export class RejectedFieldError extends SourceError {
  readonly rejected: string;

  constructor(message: string, rejected: string, hint: string) {
    super(message, { hint });
    this.rejected = rejected;
  }
}

type Named = Pick<EndpointAddress, "shown">;

/** What calls of an API are for, and how their URL is meant, in words. */
export interface CallWords {
  /** `completions`. */
  readonly wanted: string;
  readonly urlHint: string;
}

export const completionWords: CallWords = {
  wanted: "completions",
  urlHint: "it is the base of an OpenAI-compatible API, most of which end in /v1.",
};

export function fatalError(
  address: EndpointAddress,
  recipe: CallRecipe,
  cure: Cure,
  reason: string,
  { wanted, urlHint }: CallWords,
): SourceError {
  const { shown, keyInWords } = address;
  const use = recipe.model === undefined ? "be used" : `use "${recipe.model}"`;
  const { message, hint } = {
    key: {
      message: `${shown} does not accept ${keyInWords}`,
      hint:
        recipe.key_env === undefined
          ? "Put the key into an environment variable and name it in the endpoint's key_env."
          : `Check that ${recipe.key_env} holds a key of this server that is valid and may ${use}.`,
    },
    model: {
      message:
        recipe.model === undefined
          ? `${shown} has no ${wanted} at this URL for ${keyInWords}`
          : `${shown} has no model "${recipe.model}" for ${keyInWords}, or no ${wanted} at this URL`,
      hint:
        wanted === completionWords.wanted
          ? "Check the endpoint's model, and its url: most servers want one that ends in /v1. `amalgam doctor` lists the models."
          : `Check the endpoint's ${recipe.model === undefined ? "" : "model, and its "}url: ${urlHint}`,
    },
    credit: {
      message: `${shown} has no credit left for ${keyInWords}`,
      hint: "Top up the account, then run again: what is in the ledger is kept.",
    },
    url: {
      message: `${shown} can't be used with ${keyInWords}`,
      hint: `Check the endpoint's url: ${urlHint}`,
    },
  }[cure];
  return new SourceError(`${message} (${reason})`, { field: "endpoint", hint });
}

export function rejection({ shown }: Named, field: string, reason: string): RejectedFieldError {
  const hint = `Change ${field} in the recipe to what this server takes, or use another server.`;
  return new RejectedFieldError(`${shown} does not take the request's ${field} (${reason})`, field, hint);
}

export function waitTooLong({ shown }: Named, ms: number, reason: string): SourceError {
  return new SourceError(`${shown} asks to wait ${Math.ceil(ms / 60_000)} minutes (${reason})`, {
    hint: "Run again after that time: what is in the ledger is kept.",
  });
}

/** `seconds`: how long the server has given nothing; otherwise it is so many calls in a row. */
export function goneError(
  { shown }: Named,
  reason: string,
  since: { readonly calls: number } | { readonly seconds: number },
): SourceError {
  const cure = reason.startsWith("HTTP 429")
    ? "Wait until the server's limit allows more calls, lower the endpoint's concurrency or raise its retries"
    : "Check that the server is up and that its url is right";
  const what =
    "calls" in since
      ? `has failed ${since.calls} calls in a row`
      : `has given nothing for ${Math.round(since.seconds)} seconds`;
  return new SourceError(`${shown} ${what} (${reason})`, {
    hint: `${cure}, then run again: what is in the ledger is kept.`,
  });
}
