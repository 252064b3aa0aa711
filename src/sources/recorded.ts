import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { z } from "zod";
import { filesOf, readRows, requireColumns, type SkipRow } from "../data/index.ts";
import {
  contentKey,
  DataError,
  issueWords,
  type Message,
  messageSchema,
  type Place,
  type RecordedRecipe,
  type SampleOutcome,
  type SampleRequest,
  type Source,
} from "../schema/index.ts";
import { estimatedTokens } from "./tokens.ts";

/** Tables have whole numbers as texts, as big ones, and null for what isn't there. */
const whole = z.preprocess(
  (value) => (typeof value === "bigint" || (typeof value === "string" && /^\d+$/.test(value)) ? Number(value) : value),
  z.int().min(0),
);
const conversation = z.union([z.string().min(1), z.array(messageSchema.loose()).min(1)]);

const rowSchema = z.strictObject({
  prompt_id: z
    .union([z.string().min(1), z.number(), z.bigint()])
    .transform(String)
    .optional(),
  prompt: conversation.optional(),
  /** Which of the prompt's responses; if left out, the next free one in the file's order. */
  index: whole.optional(),
  text: z.string().refine((text) => text.trim() !== "", "the response is empty"),
  finish: z.enum(["stop", "length"]).default("stop"),
  /** If left out, one token for four bytes. */
  prompt_tokens: whole.optional(),
  response_tokens: whole.optional(),
});
type Row = z.infer<typeof rowSchema>;

interface Recorded {
  /** Of the prompt: see `promptKey`. */
  readonly key: string;
  readonly index: number;
  readonly row: Row;
}

type Part = Omit<RecordedRecipe, "file">;

/** Content key of the bytes of a recording and of how it is read: an edited file is another source. */
export async function recordedIdentity(path: string, part: Partial<Part> = {}): Promise<string> {
  const hash = createHash("sha256");
  for (const file of filesOf(path, part))
    try {
      for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
    } catch (cause) {
      throw new DataError(`the file can't be read: ${(cause as Error).message}`, { file, cause });
    }
  const bytes = hash.digest("hex").slice(0, 32);
  return part.fields === undefined ? bytes : contentKey({ bytes, fields: part.fields });
}

/**
 * Responses that were recorded elsewhere as a source: a file or the folder of a data set, a row a response, as
 * `{"prompt_id", "index"?, "text", "finish"?, "prompt_tokens"?, "response_tokens"?}`; with `fields` under other names, and further
 * ones are passed over. Sampling settings have no effect; a response that is lacking is a SampleFailure. The rows are read
 * once to check them and once for the responses: none is kept in memory. `known` is the recording's identity, where it was
 * found before. Throws DataError with file, line and field for an unreadable file, and for a broken row and an index given
 * twice unless the recipe skips bad rows: then each goes to `skip`, once.
 */
export async function openRecorded(
  name: string,
  path: string,
  part: Partial<Part> = {},
  { known, skip = () => {} }: { readonly known?: string; readonly skip?: SkipRow } = {},
): Promise<Source> {
  const identity = known ?? (await recordedIdentity(path, part));
  for await (const _ of recordedRows(path, part, skip));
  return {
    name,
    identity,
    async *sample(requests, _sampling, signal) {
      const byPrompt = part.fields?.prompt !== undefined;
      const wanted = new Map<string, { request: SampleRequest; open: Set<number> }>();
      for await (const request of requests)
        wanted.set(byPrompt ? promptKey(request.messages) : request.promptId, {
          request,
          open: new Set(request.indices),
        });
      for await (const { key, index, row } of wanted.size === 0 ? [] : recordedRows(path, part)) {
        if (signal.aborted) return;
        const asked = wanted.get(key);
        if (asked?.open.delete(index) === true) yield outcomeOf(asked.request, index, row);
      }
      for (const { request, open } of wanted.values())
        for (const index of open) {
          if (signal.aborted) return;
          const failure = `${path} has no response ${index} to prompt ${request.promptId}`;
          yield { promptId: request.promptId, index, failure };
        }
    },
    close: async () => {},
  };
}

function outcomeOf({ promptId, messages }: SampleRequest, index: number, row: Row): SampleOutcome {
  const promptBytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  return {
    promptId,
    index,
    text: row.text,
    finish: row.finish,
    promptTokens: row.prompt_tokens ?? estimatedTokens(promptBytes),
    responseTokens: row.response_tokens ?? estimatedTokens(Buffer.byteLength(row.text)),
  };
}

const promptKey = (messages: readonly Message[]): string =>
  contentKey(messages.map(({ role, content }) => ({ role, content: content.trim() })));

/** Every response with the place that it has among those to its prompt. */
async function* recordedRows(
  path: string,
  { fields, bad_rows, ...part }: Partial<Part>,
  skip: SkipRow = () => {},
): AsyncGenerator<Recorded> {
  const skipping = bad_rows === "skip" ? skip : undefined;
  const taken = new Map<string, Set<number>>();
  let [checked, passedOver, first] = ["", 0, undefined as DataError | undefined];
  for await (const { file, line, value } of readRows(path, part, skipping)) {
    if (file !== checked) requireColumns(file, value, namedColumns(fields));
    checked = file;
    let placed: Recorded;
    try {
      placed = placedRow(parseRow(value, fields, file, line), taken, { file, line, field: fields?.index ?? "index" });
    } catch (error) {
      if (skipping === undefined || !(error instanceof DataError)) throw error;
      skipping(error);
      passedOver += 1;
      first ??= error;
      continue;
    }
    yield placed;
  }
  if (taken.size === 0 && first !== undefined)
    throw new DataError(`none of its ${passedOver} rows is a response: ${first.message}`, {
      file: path,
      hint: first.hint ?? rowForm,
    });
}

/** The columns that a table must have: the text, what tells the prompt, and whatever `fields` gives another name than its own. */
function namedColumns(fields: Part["fields"] | undefined): string[] {
  if (fields === undefined) return ["prompt_id", "text"];
  const named = Object.entries(fields).filter(
    ([field, name]) => field !== name || ["prompt_id", "prompt", "text"].includes(field),
  );
  return named.flatMap(([, name]) => (name === undefined ? [] : [name]));
}

const rowForm =
  'A row is {"prompt_id", "index"?, "text", "finish"?, "prompt_tokens"?, "response_tokens"?}; `fields` names others.';

/** Notes in `taken` which responses to each prompt there are. Throws DataError at `place` for one that is there already. */
function placedRow(row: Row, taken: Map<string, Set<number>>, place: Place): Recorded {
  const key = row.prompt_id ?? promptKey(asMessages(row.prompt!));
  const indices = taken.get(key) ?? new Set();
  taken.set(key, indices);
  let index = row.index ?? 0;
  if (row.index === undefined) while (indices.has(index)) index += 1;
  if (indices.has(index)) {
    const whose = row.prompt_id === undefined ? "this prompt" : `prompt ${key}`;
    throw new DataError(`response ${index} to ${whose} is there twice`, {
      ...place,
      hint: "Give each response of a prompt its own index, or leave all of them out.",
    });
  }
  indices.add(index);
  return { key, index, row };
}

const asMessages = (prompt: NonNullable<Row["prompt"]>): Message[] =>
  typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;

function parseRow(value: unknown, fields: Part["fields"] | undefined, file: string, line: number): Row {
  const given =
    fields === undefined || typeof value !== "object" || value === null
      ? value
      : Object.fromEntries(
          Object.entries(fields).map(([field, name]) => [field, (value as Record<string, unknown>)[name!]]),
        );
  const present =
    typeof given === "object" && given !== null && !Array.isArray(given)
      ? Object.fromEntries(Object.entries(given).filter(([, inner]) => inner !== null && inner !== undefined))
      : given;
  const row = rowSchema.safeParse(present);
  const there = typeof value === "object" && value !== null ? ` It has ${Object.keys(value).join(", ")}.` : "";
  const hint = `${rowForm}${there}`;
  if (!row.success) {
    const issue = row.error.issues[0]!;
    const [field, ...inner] = issue.path.map(String);
    const named = field === undefined ? "" : [fields?.[field as keyof typeof fields] ?? field, ...inner].join(".");
    throw new DataError(issueWords(issue, present).message, { file, line, field: named, hint });
  }
  const needed = fields?.prompt === undefined ? "prompt_id" : "prompt";
  if (row.data[needed] === undefined)
    throw new DataError("is missing", { file, line, field: fields?.[needed] ?? needed, hint });
  return row.data;
}
