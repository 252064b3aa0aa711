import type { Message } from "../schema/index.ts";
import type { Stream } from "./select.ts";
import { writeRows } from "./write-rows.ts";

/** (x, y_w, y_l). */
export interface Pair {
  readonly promptId: string;
  readonly messages: readonly Message[];
  readonly chosen: string;
  readonly rejected: string;
}

/** A pair as a row of messages, which TRL reads as a conversational preference. */
const toRow = ({ promptId, messages, chosen, rejected }: Pair) => ({
  prompt_id: promptId,
  prompt: messages,
  chosen: [{ role: "assistant", content: chosen }],
  rejected: [{ role: "assistant", content: rejected }],
});

/** Writes pairs as JSONL; the file is there whole or not at all. Throws EnvironmentError where it can't be written. */
export const writePairs = (file: string, pairs: Stream<Pair>): Promise<void> => writeRows(file, pairs, toRow);
