import { fileURLToPath } from "node:url";
import { readQuadruples } from "amalgam/preferences";
import { tokeniseRows } from "amalgam/training";

/** 64 quadruples in the interchange format; see bench/README.md. */
export const rowsFile = fileURLToPath(new URL("../fixtures/quads.jsonl", import.meta.url));

/** The first `count` quadruples as token ids, responses in the order of the file: y_ws, y_wt, y_l. Nothing is left out. */
export async function tokenisedQuadruples(tokenizer, count) {
  const quadruples = (await readQuadruples(rowsFile)).slice(0, count);
  if (quadruples.length < count) throw new Error(`${rowsFile} has ${quadruples.length} rows, not ${count}`);
  const texts = quadruples.map(({ promptId, messages, sourceChosen, targetChosen, rejected }) => ({
    id: promptId,
    messages,
    responses: [sourceChosen, targetChosen, rejected],
  }));
  return tokeniseRows(texts, tokenizer, { max_length: 2048, max_prompt_length: 1800, overlong: "error" }).rows;
}
