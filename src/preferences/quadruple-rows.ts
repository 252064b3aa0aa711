import {
  DataError,
  issueWords,
  type Message,
  type Place,
  type Quadruple,
  type QuadrupleRow,
  quadrupleRowSchema,
  readJsonLines,
} from "../schema/index.ts";
import type { Stream } from "./select.ts";
import { writeRows } from "./write-rows.ts";

/** A quadruple as a row of the interchange format: `chosen` is [y_ws1, ..., y_wsk, y_wt], as a rule [y_ws, y_wt], `rejected` is [y_l]. */
export function toRow(quadruple: Quadruple): QuadrupleRow {
  const [only, ...others] = quadruple.messages;
  const answer = (content: string): Message => ({ role: "assistant", content });
  return {
    prompt_id: quadruple.promptId,
    prompt: others.length === 0 && only !== undefined ? only : [...quadruple.messages],
    chosen: [quadruple.sourceChosen, ...(quadruple.furtherSources ?? []), quadruple.targetChosen].map(answer),
    rejected: [answer(quadruple.rejected)],
  };
}

/**
 * The quadruple of a row; the prompt is one message or a conversation. Of the chosen responses the last is the target's, all
 * before it are of sources. Throws DataError for a row that can't be trained on as it stands: further rejected
 * responses (which the reference code passes over in silence), an answer that is empty or not the assistant's, a conversation that doesn't wait for an answer.
 */
export function fromRow(row: QuadrupleRow, place: Place = {}): Quadruple {
  const messages = Array.isArray(row.prompt) ? row.prompt : [row.prompt];
  if (messages.at(-1)?.role !== "user") {
    throw new DataError("the prompt does not end with a message of the user", { ...place, field: "prompt" });
  }
  const chosen = answers(row.chosen, Math.max(2, row.chosen.length), "chosen", place);
  const [sourceChosen, ...furtherSources] = chosen.slice(0, -1);
  const [rejected] = answers(row.rejected, 1, "rejected", place);
  return {
    promptId: row.prompt_id,
    messages,
    sourceChosen: sourceChosen!,
    ...(furtherSources.length > 0 ? { furtherSources } : {}),
    targetChosen: chosen.at(-1)!,
    rejected: rejected!,
  };
}

/**
 * The quadruples of a JSONL file in the interchange format, in its order. Throws DataError with file, line and field
 * for a line that breaks the format, and for a file without any quadruple.
 */
export async function readQuadruples(file: string): Promise<Quadruple[]> {
  const quadruples: Quadruple[] = [];
  for await (const { line, value } of readJsonLines(file)) {
    const parsed = quadrupleRowSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0]!;
      const field = issue.path.join(".");
      throw new DataError(issueWords(issue, value).message, {
        file,
        line,
        ...(field === "" ? {} : { field }),
        hint: rowFormat,
      });
    }
    quadruples.push(fromRow(parsed.data, { file, line }));
  }
  if (quadruples.length === 0) throw new DataError("the file has no quadruples", { file, hint: rowFormat });
  return quadruples;
}

/** Writes quadruples as JSONL; the file is there whole or not at all. Throws EnvironmentError where it can't be written. */
export const writeQuadruples = (file: string, quadruples: Stream<Quadruple>): Promise<void> =>
  writeRows(file, quadruples, toRow);

const rowFormat =
  'A row is {"prompt_id": …, "prompt": {"role": "user", "content": …}, "chosen": [y_ws, ..., y_wt], "rejected": [y_l]}, each y a {"role": "assistant", "content": …}.';

function answers(messages: readonly Message[], expected: number, field: string, place: Place): string[] {
  if (messages.length !== expected) {
    throw new DataError(`${messages.length} responses where ${expected} can be trained on`, {
      ...place,
      field,
      hint: rowFormat,
    });
  }
  return messages.map(({ role, content }, index) => {
    const at = { ...place, field: `${field}.${index}` };
    if (role !== "assistant") throw new DataError(`a response has the role ${role}`, { ...at, hint: rowFormat });
    if (content.trim() === "") throw new DataError("a response is empty", { ...at, hint: "Remove the row." });
    return content;
  });
}
