import type { MtMode, MtPrompt } from "./prompts.ts";

/** Amalgam's own prompts of the judge, with FastChat's places and verdicts. */
export function ownPrompts(mode: MtMode, withReference: boolean, turn: number): MtPrompt {
  const look = withReference
    ? "A correct answer is given to you as a reference. Hold what you judge to it, and point out every mistake; another way to the same result is as good."
    : "Look at whether what is said is true, whether it does what was asked, how far it goes into the matter and how well it is put.";
  const second =
    turn === 0
      ? ""
      : " The conversation has two questions: judge the answer to the second one, in the light of the first.";
  const system =
    mode === "single"
      ? `You mark the answer of an assistant to a person's question.${second} ${look} Write a short explanation first. Then close with your mark, a number from 1 (useless) to 10 (could not be better) in double brackets, in the form [[5]].`
      : `You compare the answers of two assistants, A and B, to a person's question.${second} ${look} Neither the order nor the length of the answers speaks for or against one. Write a short explanation first. Then close with one label in double brackets: [[A]] where assistant A is better, [[B]] where assistant B is better, [[C]] where they are equally good.`;
  return { system, template: template(mode, withReference, turn) };
}

function template(mode: MtMode, withReference: boolean, turn: number): string {
  const assistants =
    mode === "single"
      ? [["Assistant", "answer"]]
      : [
          ["Assistant A", "answer_a"],
          ["Assistant B", "answer_b"],
        ];
  if (turn === 0)
    return [
      "Question:\n{question}",
      ...(withReference ? ["=== Reference ===\n{ref_answer_1}\n=== End of the reference ==="] : []),
      ...assistants.map(([who, place]) => `=== ${who} ===\n{${place}}\n=== End of ${who} ===`),
    ].join("\n\n");
  const talk = (title: string, place: string) =>
    `=== ${title} ===\nFirst question:\n{question_1}\n\nAnswer:\n{${place}_1}\n\nSecond question:\n{question_2}\n\nAnswer:\n{${place}_2}\n=== End of ${title} ===`;
  return [
    ...(withReference ? [talk("Reference", "ref_answer")] : []),
    ...assistants.map(([who, place]) => talk(who!, place!)),
  ].join("\n\n");
}
