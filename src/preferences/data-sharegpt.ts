import { DataError, type Place } from "../schema/index.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Who speaks, by the names that files of ShareGPT's form have for it. */
const speakers: Readonly<Record<string, string>> = {
  system: "system",
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  assistant: "assistant",
  model: "assistant",
  bing: "assistant",
  bard: "assistant",
  observation: "tool",
  tool: "tool",
  function_call: "assistant",
};

/** Whether a turn is one of ShareGPT, `{from, value}`. */
export const isShareGptTurn = (turn: Fields): boolean => turn.role === undefined && turn.from !== undefined;

/** Whether a turn, of either form, is the assistant's. */
export const isAnswer = (turn: Fields): boolean =>
  (isShareGptTurn(turn) ? speakers[String(turn.from).toLowerCase()] : turn.role) === "assistant";

/** The same turn as `{role, content}`; a call of a function as one of the assistant's `tool_calls`. @throws DataError naming the field */
export function shareGptTurn({ from, value }: Fields, field: string, place: Place): Fields {
  const role = typeof from === "string" ? speakers[from.toLowerCase()] : undefined;
  if (role === undefined)
    throw new DataError(`the turn is from ${JSON.stringify(from)}`, {
      ...place,
      field: `${field}.from`,
      hint: `The speakers are ${Object.keys(speakers).join(", ")}.`,
    });
  const turn = { role, content: value };
  return from === "function_call" ? { role, content: "", tool_calls: [callOf(value, field, place)] } : turn;
}

function callOf(value: unknown, field: string, place: Place): unknown {
  try {
    return { type: "function", function: JSON.parse(String(value)) };
  } catch {
    throw new DataError("a function_call should be the JSON of one", { ...place, field: `${field}.value` });
  }
}
