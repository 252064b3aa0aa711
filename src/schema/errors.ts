/** Where in the user's own files a mistake stands. */
export interface Place {
  readonly file?: string;
  readonly line?: number;
  readonly field?: string;
}

export interface ErrorDetails extends Place {
  /** What the reader can do about it, as one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * Base of every error that is meant for the person who runs Amalgam: the message says what was wrong and where,
 * the hint what to do. Anything else that is thrown is a defect of the program and keeps its stack trace.
 */
export class AmalgamError extends Error {
  readonly code: string = "AMALGAM";
  readonly place: Place;
  readonly hint: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    const { file, line, field } = details;
    this.place = {
      ...(file === undefined ? {} : { file }),
      ...(line === undefined ? {} : { line }),
      ...(field === undefined ? {} : { field }),
    };
    this.hint = details.hint;
  }

  /**
   * Says more on the error's way up: what its place lacks, and a further hint. Returns the error itself. Of a place in another file than the
   * error's own nothing is taken: its field and line would be looked for in the wrong one.
   */
  amend({ hint, ...place }: Place & { readonly hint?: string }): this {
    const hints = [this.hint, hint].filter((text) => text !== undefined);
    const own = this.place.file ?? place.file;
    const more = place.file === undefined || place.file === own ? place : {};
    return Object.assign(this, {
      place: { ...more, ...this.place },
      hint: hints.length === 0 ? undefined : hints.join(" "),
    });
  }
}

/** Does `work`; an AmalgamError out of it is amended. */
export function amended<Result>(more: Place & { readonly hint?: string }, work: () => Result): Result {
  const amend = (error: unknown): never => {
    throw error instanceof AmalgamError ? error.amend(more) : error;
  };
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(amend) as Result) : result;
  } catch (error) {
    return amend(error);
  }
}

/** The recipe says something that can't be carried out. */
export class RecipeError extends AmalgamError {
  override readonly code = "RECIPE";
  /** What else is wrong with the same recipe, so that all is mended at once. */
  readonly others: readonly RecipeError[] = [];

  /** The same error, together with others of the same recipe. */
  with(others: readonly RecipeError[]): RecipeError {
    const whole = new RecipeError(this.message, { ...this.place, ...hintAndCause(this) });
    return Object.assign(whole, { others });
  }
}

const hintAndCause = ({ hint, cause }: AmalgamError): Pick<ErrorDetails, "hint" | "cause"> => ({
  ...(hint === undefined ? {} : { hint }),
  ...(cause === undefined ? {} : { cause }),
});

/** A data file (prompts, responses, quadruples) is unreadable or breaks its format. */
export class DataError extends AmalgamError {
  override readonly code = "DATA";
}

/** A model folder, GGUF file, tokenizer or safetensors file is missing, damaged or unknown. */
export class ModelError extends AmalgamError {
  override readonly code = "MODEL";
}

/** A source or an endpoint did not give what it was asked for. */
export class SourceError extends AmalgamError {
  override readonly code = "SOURCE";
}

/** The run folder or its ledger can't be used. */
export class LedgerError extends AmalgamError {
  override readonly code = "LEDGER";
}

/** The machine lacks something: compiler, libtorch, disk, memory, a port, a key. */
export class EnvironmentError extends AmalgamError {
  override readonly code = "ENVIRONMENT";
}

/** Training can't go on: the loss is not finite, nothing is left to train on. */
export class TrainingError extends AmalgamError {
  override readonly code = "TRAINING";
}

/** A request for generated text asks for what can never be given: a text beyond the context, an unknown token. */
export class RequestError extends AmalgamError {
  override readonly code = "REQUEST";
}

/** An operator of libtorch refused its arguments. The message names the operator, the arguments and libtorch's reason. */
export class TorchError extends AmalgamError {
  override readonly code = "TORCH";
}

/** The text that a person sees: place, message, hint; all of them where a recipe has several mistakes. */
export function describeError(error: unknown): string {
  if (!(error instanceof AmalgamError)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error instanceof RecipeError && error.others.length > 0) {
    return [error.with([]), ...error.others].map(describeError).join("\n");
  }
  const { file, line, field } = error.place;
  const place = [file === undefined ? undefined : line === undefined ? file : `${file}:${line}`, field].filter(Boolean);
  const head = place.length > 0 ? `${place.join(", ")}: ${error.message}` : error.message;
  return error.hint === undefined ? head : `${head}\n  ${error.hint}`;
}
