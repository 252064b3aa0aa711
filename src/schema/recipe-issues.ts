import { z } from "zod";
import { didYouMean, nearest } from "./nearest.ts";
import type { FieldPath } from "./recipe-yaml.ts";

/** One mistake in a recipe, in words. */
export interface Mistake {
  readonly path: FieldPath;
  readonly message: string;
  readonly hint?: string;
}

type Issue = z.core.$ZodIssue;

/** What zod found wrong with `value`, each as a person should read it, in the recipe's order of fields. */
export function mistakesOf(schema: z.ZodType, value: unknown, issues: readonly Issue[]): Mistake[] {
  const form = z.toJSONSchema(schema, { io: "input" });
  const plain = withoutMisspelt(
    issues.flatMap((issue) => (issue.code === "invalid_union" ? branchMeant(issue, value) : [issue])),
    value,
  );
  return plain.flatMap((issue) => toMistakes(issue, value, form));
}

/** The issues of the branch of a union that the value was meant to be; the union's own where none is nearer than the others. */
function branchMeant(union: z.core.$ZodIssueInvalidUnion, root: unknown): Issue[] {
  const branches = union.errors.map((issues) =>
    withoutMisspelt(
      issues.map((issue): Issue => ({ ...issue, path: [...union.path, ...issue.path] })),
      root,
    ),
  );
  const distances = branches.map((issues) => issues.reduce((sum, issue) => sum + distance(issue, root), 0));
  const least = Math.min(...distances);
  const nearestBranches = branches.filter((_, at) => distances[at] === least);
  if (least >= otherKind) {
    // The literal that tells the branches apart is none of theirs: name them all.
    const kinds = branches.flatMap((issues) => issues.filter((issue) => isOtherKind(issue)));
    const values = kinds.flatMap((issue) => (issue.code === "invalid_value" ? issue.values : []));
    return [{ ...kinds[0]!, code: "invalid_value", values: [...new Set(values)] } as Issue];
  }
  return nearestBranches.length === 1 ? nearestBranches[0]! : [union];
}

const otherKind = 100;
const isOtherKind = (issue: Issue) => issue.code === "invalid_value" && issue.values.length === 1;

/** How far an issue moves the value away from the branch: by its fields, not by what stands in them. */
function distance(issue: Issue, root: unknown): number {
  if (isOtherKind(issue)) return otherKind;
  if (issue.code === "unrecognized_keys") return issue.keys.length;
  return isMissing(issue, root) ? 1 : 0;
}

const isMissing = (issue: Issue, root: unknown) =>
  (issue.code === "invalid_type" || issue.code === "invalid_value") && valueAt(root, issue.path) === undefined;

/** A field that is missing because its name is misspelt is one mistake, not two. */
function withoutMisspelt(issues: readonly Issue[], root: unknown): Issue[] {
  const unknown = issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => ({ parent: issue.path, key })) : [],
  );
  return issues.filter((issue) => {
    if (!isMissing(issue, root)) return true;
    const name = String(issue.path.at(-1));
    const parent = issue.path.slice(0, -1).join(".");
    return !unknown.some((other) => other.parent.join(".") === parent && nearest(other.key, [name]) === name);
  });
}

function toMistakes(issue: Issue, root: unknown, form: JsonSchema): Mistake[] {
  const { path } = issue;
  const value = valueAt(root, path);
  if (issue.code === "unrecognized_keys") {
    const known = knownFields(form, path, root);
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: "unknown field",
      hint: `${didYouMean(key, known)}The fields here are ${known.join(", ")}.`,
    }));
  }
  if (isMissing(issue, root)) return [{ path, message: "is missing", ...missingHint(issue) }];
  const shown = show(value, path);
  switch (issue.code) {
    case "invalid_type": {
      const wanted = typeWords[issue.expected] ?? issue.expected;
      return [{ path, message: `is ${shown}, and should be ${wanted}` }];
    }
    case "invalid_value": {
      const values = issue.values.map(String);
      const hint = `${typeof value === "string" ? didYouMean(value, values) : ""}It is one of ${values.join(", ")}.`;
      return [{ path, message: `${shown} is not known here`, hint }];
    }
    case "too_small":
    case "too_big":
      return [{ path, message: sizeWords(issue, shown) }];
    case "invalid_format":
      if (issue.format === "url") {
        return [{ path, message: "is no http or https address", hint: "For example http://localhost:8000/v1." }];
      }
      return [{ path, message: `has another form: ${issue.message}` }];
    case "invalid_union": {
      const fields = value !== null && typeof value === "object" ? Object.keys(value) : [];
      const hint = fields.length === 0 ? `It is ${shown}.` : `It has ${fields.join(", ")}.`;
      return [{ path, message: issue.message, hint }];
    }
    default:
      return [{ path, message: firstLower(issue.message) }];
  }
}

function missingHint(issue: Issue): { hint?: string } {
  if (issue.code === "invalid_value") return { hint: `It is one of ${issue.values.map(String).join(", ")}.` };
  const wanted = issue.code === "invalid_type" ? typeWords[issue.expected] : undefined;
  return wanted === undefined ? {} : { hint: `Write ${wanted}.` };
}

const typeWords: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "a map of fields",
  array: "a list",
  tuple: "a list",
};

function sizeWords(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, shown: string): string {
  const small = issue.code === "too_small";
  const bound = Number(small ? issue.minimum : issue.maximum);
  if (issue.origin === "string")
    return small && bound === 1 ? "is empty" : `must have ${small ? "at least" : "at most"} ${bound} characters`;
  if (issue.origin === "array") {
    return small && bound === 1
      ? "is empty: it needs an entry"
      : `must have ${small ? "at least" : "at most"} ${bound} entries`;
  }
  const least = small ? "at least" : "at most";
  const beyond = small ? "greater than" : "less than";
  return `is ${shown}, and must be ${issue.inclusive === false ? beyond : least} ${bound}`;
}

/** A value as it stands in a message. What might be a key or hold one is not shown. */
function show(value: unknown, path: FieldPath): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map of fields";
  if (path.includes("key_env") || path.includes("url")) return "another value";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}..."` : text;
}

const firstLower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/** The value at a path, or undefined. */
export function valueAt(root: unknown, path: FieldPath): unknown {
  let value = root;
  for (const step of path) {
    if (value === null || typeof value !== "object") return undefined;
    value = Object.hasOwn(value, step) ? (value as Record<PropertyKey, unknown>)[step] : undefined;
  }
  return value;
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** The names of the fields that may stand in the map at a path. */
function knownFields(form: JsonSchema, path: FieldPath, root: unknown): string[] {
  let forms = branchesFor(form, root);
  for (const [depth, step] of path.entries()) {
    const value = valueAt(root, path.slice(0, depth + 1));
    const inner = forms.flatMap(({ properties, items }) => [properties?.[String(step)], items]);
    forms = inner.filter(isForm).flatMap((found) => branchesFor(found, value));
  }
  return [...new Set(forms.flatMap(({ properties }) => Object.keys(properties ?? {})))];
}

const isForm = (form: unknown): form is JsonSchema => typeof form === "object" && !Array.isArray(form);

/** The branches of a union that have all they require in this value; all that it may be of where none has. */
function branchesFor(form: JsonSchema, value: unknown): JsonSchema[] {
  if (form.anyOf === undefined) return [form];
  const fields = (value !== null && typeof value === "object" ? value : {}) as Readonly<Record<string, unknown>>;
  const possible = form.anyOf
    .filter(isForm)
    .filter(({ properties = {} }) =>
      Object.entries(properties).every(
        ([name, inner]) => !isForm(inner) || !("const" in inner) || inner.const === fields[name],
      ),
    );
  const whole = possible.filter(({ required = [] }) => required.every((name) => Object.hasOwn(fields, name)));
  return whole.length > 0 ? whole : possible;
}
