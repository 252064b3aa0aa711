import { z } from "zod";
import type { Message, Place, Prompt } from "../schema/index.ts";
import { checkSpecSchema, contentKey, DataError, didYouMean, issueWords, messageSchema } from "../schema/index.ts";

const rowSchema = z.strictObject({
  id: z.string().min(1).optional(),
  prompt: z.string().optional(),
  messages: z.array(messageSchema).min(1).optional(),
  checks: z.array(checkSpecSchema).default([]),
  domain: z.string().min(1).optional(),
});
type Row = z.infer<typeof rowSchema>;

const rowForm =
  'A row is {"prompt": "...", "checks": [{"id": "...", "args": {...}}]}; "messages", "id" and "domain" may stand too.';

/**
 * The prompt of a row of a prompts file: `prompt` (one user turn) or `messages` (a conversation whose last turn is the
 * user's), and optionally `id`, `checks`, `domain`. A row without `id` has the content key of its messages for one.
 *
 * `columns` are read by others and may stand in the row, too.
 *
 * Throws a DataError at `place`, with the field: an unknown or wrong field, an empty prompt. What `checks` name is held to
 * the registry by `validateChecks` of the rewards.
 */
export function promptOfRow(value: unknown, place: Place, columns: readonly string[] = []): Prompt {
  const row = parseRow(withoutColumns(value, columns), place);
  const messages = toMessages(row, place);
  return {
    id: row.id ?? contentKey(messages),
    messages,
    checks: row.checks,
    ...(row.domain === undefined ? {} : { domain: row.domain }),
  };
}

function withoutColumns(row: unknown, columns: readonly string[]): unknown {
  if (columns.length === 0 || typeof row !== "object" || row === null || Array.isArray(row)) return row;
  const read = new Set(columns.flatMap((name) => [name, name.split(".")[0]!]));
  return Object.fromEntries(Object.entries(row).filter(([field]) => field in rowSchema.shape || !read.has(field)));
}

function parseRow(value: unknown, place: Place): Row {
  const parsed = rowSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const field = issue.path.join(".");
  const cause = parsed.error;
  if (issue.code !== "unrecognized_keys") {
    const { message, hint = rowForm } = issueWords(issue, value);
    throw new DataError(message, { ...place, ...(field === "" ? {} : { field }), cause, hint });
  }
  const [key] = issue.keys as [string];
  const known = knownFields(issue.path[0]);
  throw new DataError("an unknown field", {
    ...place,
    field: field === "" ? key : `${field}.${key}`,
    cause,
    hint: `${didYouMean(key, known)}The fields here are ${known.join(", ")}. With \`fields\` in the recipe, all that it does not name are passed over.`,
  });
}

function knownFields(parent: PropertyKey | undefined): string[] {
  const schema = parent === "messages" ? messageSchema : parent === "checks" ? checkSpecSchema : rowSchema;
  return Object.keys(schema.shape);
}

function toMessages(row: Row, place: Place): Message[] {
  const messages = asMessages(row, place);
  const broken = messages.findIndex(({ content }) => !content.isWellFormed());
  if (broken < 0) return messages;
  throw new DataError("holds half a surrogate pair, which is no character", {
    ...place,
    field: row.prompt === undefined ? `messages.${broken}.content` : "prompt",
    hint: "The text was cut inside a character or badly escaped: mend it or take the row out.",
  });
}

function asMessages({ prompt, messages }: Row, place: Place): Message[] {
  if ((prompt === undefined) === (messages === undefined)) {
    throw new DataError("a row has either `prompt` or `messages`", { ...place, hint: rowForm });
  }
  if (prompt !== undefined) {
    if (prompt.trim() === "") throw new DataError("the prompt is empty", { ...place, field: "prompt", hint: rowForm });
    return [{ role: "user", content: prompt }];
  }
  const turns = messages!;
  const empty = turns.findIndex(({ content }) => content.trim() === "");
  if (empty >= 0) {
    const field = `messages.${empty}.content`;
    throw new DataError("the message is empty", { ...place, field, hint: "Write its text or take the turn out." });
  }
  if (turns.at(-1)!.role !== "user") {
    const field = `messages.${turns.length - 1}.role`;
    throw new DataError("the last turn is not the user's", {
      ...place,
      field,
      hint: "The last turn is the one to be answered.",
    });
  }
  return turns;
}
