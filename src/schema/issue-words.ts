import type { z } from "zod";
import { didYouMean } from "./nearest.ts";

export type Issue = z.core.$ZodIssue;

type Path = readonly PropertyKey[];

/** What a person reads in place of zod's message. */
interface Words {
  readonly message: string;
  readonly hint?: string;
}

/** One thing that zod found wrong within `root`, as a person should read it: what stands there, and what should. */
export function issueWords(issue: Issue, root: unknown): Words {
  const { path } = issue;
  const value = valueAt(root, path);
  if (isMissing(issue, root)) return { message: "is missing", ...missingHint(issue) };
  const shown = show(value, path);
  if (said(issue)) return { message: firstLower(issue.message) };
  switch (issue.code) {
    case "invalid_type":
      return { message: `is ${shown}, and should be ${typeWords[issue.expected] ?? issue.expected}` };
    case "invalid_value": {
      const values = issue.values.map(String);
      const near = typeof value === "string" ? didYouMean(value, values) : "";
      return { message: `${shown} is not known here`, hint: `${near}It is one of ${values.join(", ")}.` };
    }
    case "too_small":
    case "too_big":
      return { message: sizeWords(issue, shown) };
    case "invalid_format":
      if (issue.format === "url")
        return { message: "is no http or https address", hint: "For example http://localhost:8000/v1." };
      return { message: `has another form: ${issue.message}` };
    case "invalid_union": {
      const fields = value !== null && typeof value === "object" ? Object.keys(value) : [];
      return { message: issue.message, hint: fields.length === 0 ? `It is ${shown}.` : `It has ${fields.join(", ")}.` };
    }
    default:
      return { message: firstLower(issue.message) };
  }
}

/** Whether the schema itself says why a value is refused; what zod says by itself begins so. */
const said = ({ code, message }: Issue) =>
  (code === "invalid_type" || code === "invalid_value") && !message.startsWith("Invalid ");

export const isMissing = (issue: Issue, root: unknown) =>
  (issue.code === "invalid_type" || issue.code === "invalid_value") && valueAt(root, issue.path) === undefined;

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
  record: "a map of fields",
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
function show(value: unknown, path: Path): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map of fields";
  if (path.includes("key_env") || path.includes("url")) return "another value";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}..."` : text;
}

const firstLower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/** The value at a path, or undefined. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (value === null || typeof value !== "object") return undefined;
    value = Object.hasOwn(value, step) ? (value as Record<PropertyKey, unknown>)[step] : undefined;
  }
  return value;
}
