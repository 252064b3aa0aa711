import { type AmalgamError, EnvironmentError, ModelError } from "../../schema/index.ts";

/**
 * What an answer of the hub that is no success means, for the person who asked for `what` (a repository or a file).
 * `code` is the hub's X-Error-Code header. `suggestion` stands before the hint of a name that was not found.
 */
export function answerError(status: number, code: string | null, what: string, suggestion = ""): AmalgamError {
  if (code === "GatedRepo" || (status === 403 && code === null)) {
    return new ModelError(`the hub gives ${what} only to those who accepted its licence (HTTP ${status})`, {
      hint: "Accept the licence on the model's page, then set HF_TOKEN to a token of that account that may read gated repositories.",
    });
  }
  if (code === "RevisionNotFound") {
    return new ModelError(`the hub has no such revision of ${what}`, {
      hint: "Name a branch, tag or commit after the @.",
    });
  }
  if (code === "EntryNotFound") {
    return new ModelError(`the hub has no such file: ${what}`, {
      hint: `${suggestion}Look at the repository's file list.`,
    });
  }
  if (status === 401 || status === 403 || status === 404) {
    return new ModelError(`the hub has no ${what}, or it is private (HTTP ${status})`, {
      hint: `${suggestion}For a private or gated model set HF_TOKEN to a token that may read it.`,
    });
  }
  if (status === 429) {
    return new EnvironmentError(`the hub asks to slow down (HTTP 429 for ${what})`, {
      hint: "Wait some minutes, or set HF_TOKEN: known users may ask more often.",
    });
  }
  return new EnvironmentError(`the hub answers HTTP ${status} for ${what}`, {
    hint: "Check HF_ENDPOINT, or try again later.",
  });
}
