import { readFileSync } from "node:fs";
import { z } from "zod";
import type { Message, Prompt } from "../schema/index.ts";
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
 * The prompts of a JSONL file: a row a line, `prompt` (one user turn) or `messages` (a conversation whose last turn is
 * the user's), and optionally `id`, `checks`, `domain`. A row without `id` has the content key of its messages for one.
 * Row i of the result stands in line i + 1. With `limit` only the first rows are read, and only they are examined.
 *
 * Throws a DataError with file, line and field: no such file, no rows, not UTF-8, broken JSON, an unknown or wrong field,
 * an empty prompt, an id or a text that an earlier row has. What `checks` name is held to the registry by
 * `validateChecks` of the rewards.
 */
export function readPrompts(
  file: string,
  options: {
    readonly limit?: number | undefined;
    /** Pass over what stands twice: the caller looks after it. */
    readonly repeats?: boolean;
  } = {},
): Prompt[] {
  const lines = decode(readBytes(file), file).split("\n");
  while (lines.length > 0 && lines.at(-1)!.trim() === "") lines.pop();
  if (lines.length === 0) throw new DataError("the file holds no prompts", { file, hint: rowForm });
  const ids = new Map<string, number>();
  const texts = new Map<string, number>();
  return lines.slice(0, options.limit).map((text, index) => {
    const place = { file, line: index + 1 };
    const prompt = toPrompt(parseRow(text, place), place);
    if (options.repeats === true) return prompt;
    refuseRepeated(ids, prompt.id, { ...place, field: "id" }, `the id ${JSON.stringify(prompt.id)}`);
    const trimmed = prompt.messages.map(({ role, content }) => ({ role, content: content.trim() }));
    refuseRepeated(texts, contentKey(trimmed), place, "the same prompt");
    return prompt;
  });
}

interface LinePlace {
  readonly file: string;
  readonly line: number;
}

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const message = code === "ENOENT" ? "there is no such file" : `the file can't be read (${code})`;
    throw new DataError(message, {
      file,
      cause,
      hint: "Check the path of the prompts; a recipe's is relative to its own folder.",
    });
  }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const offset = firstInvalidByte(bytes);
    const line = bytes.subarray(0, offset).filter((byte) => byte === 0x0a).length + 1;
    const message = `not UTF-8: the byte at offset ${offset} belongs to no character`;
    throw new DataError(message, { file, line, cause, hint: "Save the file in the encoding UTF-8." });
  }
}

/** Offset of the first byte that is not part of a whole character. */
function firstInvalidByte(bytes: Uint8Array): number {
  const decodes = (end: number, stream: boolean) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end), { stream });
      return true;
    } catch {
      return false;
    }
  };
  let valid = 0;
  let invalid = bytes.length + 1;
  while (invalid - valid > 1) {
    const middle = Math.floor((valid + invalid) / 2);
    if (decodes(middle, true)) valid = middle;
    else invalid = middle;
  }
  // What a stream lets pass may end within a character.
  while (!decodes(valid, false)) valid--;
  return valid;
}

function parseRow(text: string, place: LinePlace): Row {
  if (text.trim() === "")
    throw new DataError("an empty line", { ...place, hint: "Each line holds one prompt; take the line out." });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`not JSON: ${(cause as Error).message}`, { ...place, cause, hint: rowForm });
  }
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
    hint: `${didYouMean(key, known)}The fields here are ${known.join(", ")}.`,
  });
}

function knownFields(parent: PropertyKey | undefined): string[] {
  const schema = parent === "messages" ? messageSchema : parent === "checks" ? checkSpecSchema : rowSchema;
  return Object.keys(schema.shape);
}

function toPrompt(row: Row, place: LinePlace): Prompt {
  const messages = toMessages(row, place);
  return {
    id: row.id ?? contentKey(messages),
    messages,
    checks: row.checks,
    ...(row.domain === undefined ? {} : { domain: row.domain }),
  };
}

function toMessages(row: Row, place: LinePlace): Message[] {
  const messages = asMessages(row, place);
  const broken = messages.findIndex(({ content }) => !content.isWellFormed());
  if (broken < 0) return messages;
  throw new DataError("holds half a surrogate pair, which is no character", {
    ...place,
    field: row.prompt === undefined ? `messages.${broken}.content` : "prompt",
    hint: "The text was cut inside a character or badly escaped: mend it or take the row out.",
  });
}

function asMessages({ prompt, messages }: Row, place: LinePlace): Message[] {
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

/** Remembers the line of `key`, or refuses it where an earlier line has it. */
function refuseRepeated(
  seen: Map<string, number>,
  key: string,
  place: LinePlace & { field?: string },
  what: string,
): void {
  const earlier = seen.get(key);
  if (earlier !== undefined) {
    throw new DataError(`${what} stands in line ${earlier} already`, {
      ...place,
      hint: "Take one of the two rows out.",
    });
  }
  seen.set(key, place.line);
}
