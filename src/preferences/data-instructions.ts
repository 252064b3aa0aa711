import { DataError, type Place, type Turn } from "../schema/index.ts";
import { type Example, pair } from "./data-examples.ts";
import { type Fields, has } from "./data-turns.ts";

/**
 * A row of Alpaca (Taori et al. 2023, "Stanford Alpaca"): instruction and input are one turn of the user, an empty line between
 * them. `system` and `history`, a list of [question, answer], stand before it in files that have them.
 */
export const instructed = (row: Fields, place: Place): Example[] => [
  { messages: promptOfInstruction(row, place), texts: { completion: [textOf(row, "output", place)] } },
];

/** The same with two answers. */
export const instructedPair = (row: Fields, place: Place): Example[] =>
  pair({ ...row, prompt: promptOfInstruction(row, place) }, place);

function promptOfInstruction(row: Fields, place: Place): Turn[] {
  const texts = ["instruction", "input"].map((name) => textOf(row, name, place)).filter((text) => text !== "");
  const system = textOf(row, "system", place);
  return [
    ...(system === "" ? [] : [{ role: "system", content: system }]),
    ...historyOf(row, place),
    { role: "user", content: texts.join("\n\n") },
  ];
}

function historyOf(row: Fields, place: Place): Turn[] {
  if (!has(row, "history")) return [];
  const { history } = row;
  const isExchange = (value: unknown): value is string[] =>
    Array.isArray(value) && value.length === 2 && value.every((text) => typeof text === "string");
  if (!Array.isArray(history) || !history.every(isExchange))
    throw new DataError("should be a list of [question, answer]", { ...place, field: "history" });
  return history.flatMap(([question, answer]) => [
    { role: "user", content: question! },
    { role: "assistant", content: answer! },
  ]);
}

/** A field's text; empty where the row has none. */
function textOf(row: Fields, field: string, place: Place): string {
  if (!has(row, field)) return "";
  const value = row[field];
  if (typeof value === "string") return value;
  throw new DataError("is no text", { ...place, field });
}
