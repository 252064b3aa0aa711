import { canonicalJson, DataError, type Place, type Turn } from "../schema/index.ts";
import { isShareGptTurn, shareGptTurn } from "./data-sharegpt.ts";

/** A row of a data file as it was decoded: its fields by name. */
export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a field is there: Parquet has null for what a row lacks. */
export const has = (row: Fields, name: string): boolean => row[name] !== undefined && row[name] !== null;

const roles = ["system", "developer", "user", "assistant", "tool"];

/** A conversation as a list of turns, or one turn by itself. @throws DataError naming the turn and its field */
export function turnsOf(value: unknown, field: string, place: Place): Turn[] {
  if (isFields(value)) return [turnOf(value, field, place)];
  if (!Array.isArray(value) || value.length === 0)
    throw new DataError("should be a list of messages", { ...place, field, hint: turnForm });
  return value.map((turn, index) => turnOf(turn, `${field}.${index}`, place));
}

const turnForm = 'A message is {"role": "user", "content": "..."}.';

function turnOf(given: unknown, field: string, place: Place): Turn {
  const value = isFields(given) && isShareGptTurn(given) ? shareGptTurn(given, field, place) : given;
  if (!isFields(value)) throw new DataError("is no message", { ...place, field, hint: turnForm });
  if (typeof value.role !== "string" || !roles.includes(value.role))
    throw new DataError(`the role is ${JSON.stringify(value.role)}`, {
      ...place,
      field: `${field}.role`,
      hint: `${turnForm} The roles are ${roles.join(", ")}.`,
    });
  const named = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined);
  const calls = has(value, "tool_calls");
  const content = has(value, "content") || !calls ? textOf(value.content, `${field}.content`, place) : "";
  return { ...Object.fromEntries(named), role: value.role, content };
}

/** The text of a message; its parts joined where it is written as a list of texts. */
function textOf(value: unknown, field: string, place: Place): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) {
    const texts = value.map((part) => (isFields(part) && part.type === "text" ? part.text : undefined));
    if (texts.every((text) => typeof text === "string")) return texts.join("");
    throw new DataError("holds other parts than texts", {
      ...place,
      field,
      hint: "Only texts can be trained on here, no images and no sound.",
    });
  }
  throw new DataError(value === undefined || value === null ? "is missing" : "is no text", {
    ...place,
    field,
    hint: turnForm,
  });
}

/** The prompt of a row: a text is one turn of the user. @throws DataError where nothing waits for an answer in it */
export function promptOf(value: unknown, place: Place, field = "prompt"): Turn[] {
  const turns = typeof value === "string" ? [{ role: "user", content: value }] : turnsOf(value, field, place);
  return waiting(turns, field, place);
}

/** Whether nobody waits for an answer after these turns. */
export const noneWaits = (turns: readonly Turn[]): boolean => !["user", "tool"].includes(turns.at(-1)?.role ?? "");

/** The same turns, if an answer of the assistant may follow. */
export function waiting(turns: Turn[], field: string, place: Place): Turn[] {
  if (!noneWaits(turns)) return turns;
  const last = turns.at(-1)?.role;
  const ends = last === undefined ? "has no message" : `ends with a message of the role ${last}`;
  throw new DataError(`the prompt ${ends}`, {
    ...place,
    field,
    hint: "What is to be learnt is an answer: the last message before it is the user's, or a tool's.",
  });
}

/** The one answer that these turns are. */
export function answerOf(turns: readonly Turn[], field: string, place: Place): string {
  const [only, ...others] = turns;
  if (only === undefined || others.length > 0)
    throw new DataError(`the answer has ${turns.length} messages`, {
      ...place,
      field,
      hint: "An answer is one message of the assistant; what leads up to it belongs to the prompt.",
    });
  if (only.role !== "assistant")
    throw new DataError(`the answer has the role ${only.role}`, {
      ...place,
      field,
      hint: "An answer is a message of the assistant.",
    });
  if ("tool_calls" in only)
    throw new DataError("the answer calls tools", {
      ...place,
      field,
      hint: "How a call is written is the chat template's: write it as the text of `content`, as the model is to write it.",
    });
  return only.content;
}

export const sameTurn = (a: Turn, b: Turn): boolean => canonicalJson(a) === canonicalJson(b);

/** Tools that the template may offer: a list, or its JSON (as Parquet files have it). */
export function toolsOf(row: Fields, place: Place): readonly unknown[] | undefined {
  if (!has(row, "tools")) return undefined;
  let tools = row.tools;
  if (typeof tools === "string")
    try {
      tools = JSON.parse(tools);
    } catch {
      tools = undefined;
    }
  if (Array.isArray(tools)) return tools;
  throw new DataError("tools should be a list, or the JSON of one", { ...place, field: "tools" });
}
