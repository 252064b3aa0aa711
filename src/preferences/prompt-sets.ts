import { statSync } from "node:fs";
import { jsonLinesFile, readRows, requireColumns, type SkipRow } from "../data/index.ts";
import {
  canonicalJson,
  checkSpecSchema,
  contentKey,
  DataError,
  type Message,
  messageSchema,
  type Place,
  type Prompt,
  type PromptSetRecipe,
  valueAt,
} from "../schema/index.ts";
import { turnsOf } from "./data-turns.ts";
import { promptOfRow } from "./prompts.ts";

/** A prompt with where it stands. */
export interface PlacedPrompt {
  readonly prompt: Prompt;
  readonly place: { readonly file: string; readonly line: number };
  /** The columns of its row that were asked for; those that it lacks are not among them. */
  readonly columns?: Readonly<Record<string, unknown>>;
}

type Fields = NonNullable<PromptSetRecipe["fields"]>;

/** The fields of a set that names none: those of a prompts file. */
const ownFields: Fields = { prompt: "prompt", messages: "messages", id: "id", checks: "checks", domain: "domain" };

/**
 * The prompts of a set, in order. A JSONL file without `fields` is read strictly (`promptOfRow`); of other files and
 * folders, and with `fields`, the fields named are read and all others passed over. Messages may be ShareGPT's; turns of
 * the assistant at their end are answers and left away. `path` is the set's, made absolute. `columns` are kept beside each
 * prompt, as its row has them: a column of that name, or what a path with dots leads to.
 *
 * @throws DataError with file, line and field for a row that is no prompt; with `bad_rows: skip` it goes to `skip`.
 */
export async function readPromptSet(
  path: string,
  recipe: Partial<Omit<PromptSetRecipe, "file">>,
  skip: SkipRow = () => {},
  columns: readonly string[] = [],
): Promise<PlacedPrompt[]> {
  const { fields, limit, split, config, bad_rows = "error" } = recipe;
  const strict = fields === undefined && jsonLinesFile.test(path) && !isFolder(path);
  const found: PlacedPrompt[] = [];
  let rows = 0;
  let [checked, passedOver, first] = ["", 0, undefined as DataError | undefined];
  const pass: SkipRow = (bad) => {
    passedOver += 1;
    first ??= bad;
    skip(bad);
  };
  const skipping: SkipRow | undefined =
    bad_rows === "error"
      ? undefined
      : (bad) => {
          rows += 1;
          if (limit === undefined || rows <= limit) pass(bad);
        };
  for await (const { file, line, value } of readRows(path, { split, config }, skipping)) {
    rows += 1;
    if (limit !== undefined && rows > limit) break;
    const place = { file, line };
    if (file !== checked)
      requireColumns(
        file,
        value,
        Object.values(fields ?? {}).filter((name) => name !== undefined),
      );
    checked = file;
    try {
      const prompt = strict ? promptOfRow(value, place, columns) : toPrompt(value, fields ?? ownFields, place);
      found.push({ prompt, place, ...(columns.length === 0 ? {} : { columns: columnsOf(value, columns) }) });
    } catch (error) {
      if (bad_rows === "error" || !(error instanceof DataError)) throw error;
      pass(error);
    }
    if (rows === limit) break;
  }
  if (found.length > 0) return found;
  if (first !== undefined)
    throw new DataError(`none of its ${passedOver} rows is a prompt: ${first.message}`, {
      file: path,
      ...(first.hint === undefined ? {} : { hint: first.hint }),
    });
  throw new DataError("there are no prompts in it", { file: path, hint: "Check the path, and the split of a folder." });
}

/** The columns of a row by their names, or by what paths with dots lead to; those that it lacks are not among them. */
export function columnsOf(row: unknown, names: readonly string[]): Record<string, unknown> {
  const found = names.map((name) => {
    const direct = valueAt(row, [name]);
    return [name, direct === undefined ? valueAt(row, name.split(".")) : direct] as const;
  });
  return Object.fromEntries(found.filter(([, value]) => value !== undefined && value !== null));
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

function toPrompt(row: unknown, fields: Fields, place: Place): Prompt {
  if (typeof row !== "object" || row === null || Array.isArray(row))
    throw new DataError("the row is no map of fields", place);
  const read = (field: keyof Fields): unknown => {
    const name = fields[field];
    return name === undefined ? undefined : ((row as Record<string, unknown>)[name] ?? undefined);
  };
  const messages = messagesOf(read("prompt"), read("messages"), fields, place, Object.keys(row));
  const id = read("id");
  const domain = read("domain");
  return {
    id: id === undefined ? contentKey(messages) : nameOf(id, fields.id!, place),
    messages,
    checks: checksOf(read("checks"), fields.checks ?? "checks", place),
    ...(domain === undefined ? {} : { domain: nameOf(domain, fields.domain!, place) }),
  };
}

function messagesOf(
  prompt: unknown,
  messages: unknown,
  fields: Fields,
  place: Place,
  there: readonly string[],
): Message[] {
  const field = prompt === undefined ? fields.messages : fields.prompt;
  const given = prompt ?? messages;
  if (given === undefined || field === undefined)
    throw new DataError(`the row has no ${[fields.prompt, fields.messages].filter(Boolean).join(" and no ")}`, {
      ...place,
      hint: `It has ${there.join(", ")}: say in \`fields\` which of them is the prompt, as {prompt: ${there.find((name) => name !== "id") ?? "text"}}.`,
    });
  const turns = typeof given === "string" ? [{ role: "user", content: given }] : turnsOf(given, field, place);
  const last = turns.findLastIndex(({ role }) => role !== "assistant");
  return turns.slice(0, last + 1).map(({ role, content }, at, all) => {
    const whole = { ...place, field: typeof given === "string" ? field : `${field}.${at}` };
    const message = messageSchema.safeParse({ role, content });
    if (!message.success)
      throw new DataError(`a message of the role ${role}`, {
        ...whole,
        hint: "Its roles are system, user and assistant.",
      });
    if (content.trim() === "") throw new DataError("the message is empty", whole);
    if (!content.isWellFormed()) throw new DataError("holds half a surrogate pair, which is no character", whole);
    if (at === all.length - 1 && role !== "user") throw new DataError("the last turn is not the user's", whole);
    return message.data;
  });
}

function nameOf(value: unknown, field: string, place: Place): string {
  if ((typeof value === "string" && value !== "") || typeof value === "number" || typeof value === "bigint")
    return String(value);
  throw new DataError(`is ${canonicalJson(value)}, and should be a text or a number`, { ...place, field });
}

/** A list of checks, or its JSON, as tables have it. Throws a DataError with the field for what is neither. */
export function checksOf(value: unknown, field: string, place: Place): Prompt["checks"] {
  if (value === undefined) return [];
  let list: unknown = value;
  if (typeof value === "string")
    try {
      list = JSON.parse(value) as unknown;
    } catch (cause) {
      throw new DataError("is no JSON", { ...place, field, cause });
    }
  const checks = checkSpecSchema.array().safeParse(list);
  if (checks.success) return checks.data;
  throw new DataError("is no list of checks", { ...place, field, hint: 'A check is {"id": "...", "args": {...}}.' });
}
