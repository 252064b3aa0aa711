import { DataError, type Place, type Turn } from "../schema/index.ts";
import { type Example, paired } from "./data-examples.ts";
import { type Fields, sameTurn } from "./data-turns.ts";

const speakers = { Human: "user", Assistant: "assistant" } as const;
/** A turn begins a text, or follows an empty line. */
const beginning = /(?:^\s*|\n\n)(Human|Assistant):/g;

/** Whether a row's texts are dialogues as HH-RLHF (Bai et al. 2022) writes them: "\n\nHuman: ...\n\nAssistant: ...". */
export const isTranscript = ({ chosen, rejected }: Fields): boolean =>
  [chosen, rejected].every((text) => typeof text === "string" && /^\s*(Human|Assistant):/.test(text));

const differ = "the transcripts of chosen and rejected differ before their last answer";
const unanswered = "a transcript does not end with an answer of the assistant";

/**
 * The pair of two transcripts: what both begin with is the prompt, their last turns are the answers. White space around a
 * turn's text is not its own. What the format can't tell apart is taken as a turn: an empty line with `Human:` inside a
 * text.
 */
export function transcriptPair(row: Fields, place: Place): Example[] {
  const [chosen, rejected] = ["chosen", "rejected"].map((side) => turnsOfTranscript(row[side] as string));
  const [prompt, other] = [chosen!.slice(0, -1), rejected!.slice(0, -1)];
  if (prompt.length === 0)
    throw new DataError("the transcript has one turn only", {
      ...place,
      field: "chosen",
      hint: "A turn of Human stands before the answer.",
    });
  const example = paired(prompt, chosen!.at(-1)!.content, rejected!.at(-1)!.content);
  if ([chosen, rejected].some((turns) => turns!.at(-1)!.role !== "assistant") || prompt.at(-1)!.role !== "user")
    return [{ ...example, fault: unanswered }];
  const same = prompt.length === other.length && prompt.every((turn, index) => sameTurn(turn, other[index]!));
  return [same ? example : { ...example, fault: differ }];
}

function turnsOfTranscript(text: string): Turn[] {
  const marks = [...text.matchAll(beginning)];
  return marks.map((mark, index) => ({
    role: speakers[mark[1] as keyof typeof speakers],
    content: text.slice(mark.index + mark[0].length, marks[index + 1]?.index).trim(),
  }));
}
