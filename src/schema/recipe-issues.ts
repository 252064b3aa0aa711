import { z } from "zod";
import { type Place, RecipeError } from "./errors.ts";
import { type Issue, isMissing, issueWords, valueAt } from "./issue-words.ts";
import { didYouMean, nearest } from "./nearest.ts";
import type { FieldPath } from "./recipe-yaml.ts";

/** One mistake in a recipe, in words. */
export interface Mistake {
  readonly path: FieldPath;
  readonly message: string;
  readonly hint?: string;
}

/** A mistake as an error; `place` is where it stands, with what else is to be said of that. */
export function mistakeError(
  { path, message, hint }: Mistake,
  { hint: from, ...place }: Place & { readonly hint?: string | undefined } = {},
): RecipeError {
  const field = path.join(".");
  const hints = [hint, from].filter((text) => text !== undefined).join(" ");
  return new RecipeError(message, {
    ...place,
    ...(field === "" ? {} : { field }),
    ...(hints === "" ? {} : { hint: hints }),
  });
}

/** The first of these errors by its line, with the others; those without a line come last. */
export function firstOf(errors: readonly RecipeError[]): RecipeError | undefined {
  const lineOf = ({ place }: RecipeError) => place.line ?? Number.MAX_SAFE_INTEGER;
  const [first, ...others] = [...errors].sort((a, b) => lineOf(a) - lineOf(b));
  return first?.with(others);
}

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
  if (issue.code === "unrecognized_keys") {
    const known = knownFields(form, path, root);
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: "unknown field",
      hint: `${didYouMean(key, known)}The fields here are ${known.join(", ")}.`,
    }));
  }
  return [{ path, ...issueWords(issue, root) }];
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
