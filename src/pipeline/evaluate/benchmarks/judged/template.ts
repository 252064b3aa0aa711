import { DataError, type Place } from "../../../../schema/index.ts";

/** A text with `{name}` where a value goes, and `{{`, `}}` for braces: what Python's `format` takes. */
const parts = /\{\{|\}\}|\{([^{}]*)\}/g;

/** Throws DataError where the template names something else than `names`, or one of them is missing. */
export function checkTemplate(template: string, names: readonly string[], place: Place): void {
  const found = new Set([...template.matchAll(parts)].flatMap(([, name]) => (name === undefined ? [] : [name])));
  const hint = `It has a place for each of ${names.map((name) => `{${name}}`).join(", ")}.`;
  const unknown = [...found].find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new DataError(`there is nothing to put in place of {${unknown}}`, { ...place, hint });
  const missing = names.find((name) => !found.has(name));
  if (missing !== undefined) throw new DataError(`{${missing}} is missing`, { ...place, hint });
}

/** The template with its values. */
export const filled = (template: string, values: Readonly<Record<string, string>>): string =>
  template.replaceAll(parts, (whole, name: string | undefined) =>
    name === undefined ? whole.charAt(0) : values[name]!,
  );
