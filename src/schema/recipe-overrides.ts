import { parseDocument } from "yaml";
import { type Place, RecipeError } from "./errors.ts";
import type { FieldPath } from "./recipe-yaml.ts";

/** A field that has another value than the recipe's: one `--set a.b=c`, or a field that a sweep sets. */
export interface Override {
  readonly text: string;
  readonly path: readonly string[];
  /** Undefined takes the field out. */
  readonly value: unknown;
  /** Where it stands, unless on the command line. */
  readonly place?: Place;
}

/** What to say of a mistake in an override: where it stands, or what was typed. */
export const givenBy = ({ text, place }: Override, shown = text): Place & { readonly hint?: string } =>
  place ?? { hint: `Given by --set ${shown}.` };

const form =
  "Write --set field.inner=value, with a number for an entry of a list: --set sources.0.sampling.temperature=0.";

/** Fields whose texts are Jinja, which YAML would often take for a map, and whose lines it would join: they are taken as they are, but in quotes. */
const templates = ["chat_template"];

/**
 * Reads `a.b=c`; the value is YAML, so that numbers are numbers, or the text of a template. Throws RecipeError for another
 * form.
 */
export function parseOverride(text: string): Override {
  const split = text.indexOf("=");
  const field = split < 0 ? text : text.slice(0, split);
  const path = field.split(".");
  if (split < 0 || path.some((step) => step.trim() === "")) {
    throw new RecipeError(`--set ${text} names no field and value`, { hint: form });
  }
  const given = text.slice(split + 1);
  if (templates.includes(path.at(-1)!) && /^\s*[^\s"']/.test(given)) return { text, path, value: given };
  const notYaml = (fault: Error) =>
    new RecipeError(`the value of --set ${text} is not YAML: ${fault.message.trim()}`, { field, hint: form });
  const document = parseDocument(given, { prettyErrors: false, logLevel: "error" });
  const fault = document.errors[0];
  if (fault !== undefined) throw notYaml(fault);
  try {
    return { text, path, value: document.toJS() };
  } catch (cause) {
    throw notYaml(cause as Error);
  }
}

/** A copy of the recipe's values with the overrides in place, later ones over earlier ones. */
export function applyOverrides(value: unknown, overrides: readonly Override[]): unknown {
  return overrides.reduce((root, override) => setAt(root, override, 0), value);
}

function setAt(value: unknown, override: Override, depth: number): unknown {
  const { path } = override;
  if (depth === path.length) return override.value;
  const step = path[depth]!;
  const field = path.slice(0, depth + 1).join(".");
  const around = path.slice(0, depth).join(".");
  if (Array.isArray(value)) {
    const index = /^\d+$/.test(step) ? Number(step) : Number.NaN;
    if (!(index < value.length)) {
      throw new RecipeError(`${around} is a list with the entries 0 to ${value.length - 1}, and has no ${step}`, {
        ...{ field, ...givenBy(override) },
      });
    }
    return value.map((entry: unknown, at) => (at === index ? setAt(entry, override, depth + 1) : entry));
  }
  if (value !== undefined && value !== null && typeof value !== "object") {
    throw new RecipeError(`${around} holds a value and has no fields`, { field, ...givenBy(override) });
  }
  const fields = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (override.value === undefined && depth === path.length - 1) {
    const { [step]: _, ...others } = fields;
    return others;
  }
  return { ...fields, [step]: setAt(Object.hasOwn(fields, step) ? fields[step] : undefined, override, depth + 1) };
}

/** The override that gave the value at this path. */
export const overrideOf = (path: FieldPath, overrides: readonly Override[]): Override | undefined =>
  overrides.findLast((override) => override.path.every((step, at) => String(path[at]) === step));

/** The override that gave a value within this path. */
export const overrideWithin = (path: FieldPath, overrides: readonly Override[]): Override | undefined =>
  path.length === 0
    ? undefined
    : overrides.findLast((override) => path.every((step, at) => String(step) === override.path[at]));
