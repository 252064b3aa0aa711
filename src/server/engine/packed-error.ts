import { AmalgamError, DataError, EnvironmentError, ModelError, type Place, RequestError } from "../../schema/index.ts";

/** An error on its way to another thread, which keeps no classes. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly place: Place;
  readonly hint: string | undefined;
}

const classes = new Map(
  [DataError, EnvironmentError, ModelError, RequestError, AmalgamError].map((one) => [one.name, one] as const),
);

export function packError(error: unknown): PackedError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const { place, hint } = error instanceof AmalgamError ? error : { place: {}, hint: undefined };
  return { name, message, stack, place, hint };
}

/** The error as it was thrown. One of a class that is not expected is a defect, and an Error with the stack that it had. */
export function unpackError({ name, message, stack, place, hint }: PackedError): Error {
  const Class = classes.get(name);
  if (Class === undefined) return Object.assign(new Error(message), stack === undefined ? {} : { stack });
  return new Class(message, { ...place, ...(hint === undefined ? {} : { hint }) });
}
