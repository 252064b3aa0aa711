import { LedgerError } from "../schema/index.ts";

const unstorable = /\0|\p{Surrogate}/u;

/**
 * libsql ends the process on a boolean, cuts a text at NUL, and turns NaN into NULL and half a surrogate pair into U+FFFD;
 * PostgreSQL refuses a NUL and takes NaN. Free text is therefore stored as JSON; whatever else can't be stored as it is, is refused here.
 */
export function checked(parameters: readonly unknown[], place: { readonly file?: string }): readonly unknown[] {
  for (const value of parameters) {
    if (value === null) continue;
    if (typeof value === "number" && Number.isFinite(value)) continue;
    if (typeof value === "string") {
      if (!unstorable.test(value)) continue;
      throw new LedgerError(`${JSON.stringify(value.slice(0, 80))} holds a NUL or half a surrogate pair`, {
        ...place,
        hint: "Ids and names must be well-formed text; correct the prompt's id or the source's name.",
      });
    }
    throw new LedgerError(`${String(value)} can't be stored`, {
      ...place,
      hint: "A score or log-probability must be a finite number; look for a reward or model that gives NaN.",
    });
  }
  return parameters;
}
