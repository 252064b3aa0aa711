import { z } from "zod";
import { lastBoxed, markedAnswer } from "./final-answer.ts";
import { defineInstruction } from "./instruction.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const choiceArgs = z
  .strictObject({
    /** The letter of the right choice, its text, or its number from 0. */
    answer: z.union([z.string().min(1), z.int().min(0).max(25)], { error: "is no letter, text or number from 0" }),
    /** The texts of the choices. */
    choices: z.array(z.string().min(1)).min(2).max(26).optional(),
  })
  .superRefine(({ answer, choices }, refinement) => {
    const letter = rightLetter(answer, choices);
    const least = choices?.length ?? alphabet.length;
    if (letter !== undefined && alphabet.indexOf(letter) < least) return;
    const message = choices === undefined ? "is no letter: give the choices, too" : `is none of the ${least} choices`;
    refinement.addIssue({ code: "custom", path: ["answer"], message });
  });

function rightLetter(answer: string | number, choices: readonly string[] | undefined): string | undefined {
  if (typeof answer === "number") return alphabet[answer];
  const letter = /^[([]?([A-Za-z])[)\].:]?$/.exec(answer.trim())?.[1];
  const at = choices?.findIndex((choice) => plain(choice) === plain(answer)) ?? -1;
  return at >= 0 ? alphabet[at] : letter?.toUpperCase();
}

const plain = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[.\s]+$/, "")
    .replace(/\s+/g, " ");

/** A letter with what may stand around it: brackets, asterisks, \text{}. */
const dressed =
  /^[\s*_"'`$([{]*(?:\\(?:text|textbf|mathrm|mathbf)\{)?[\s*_"'`([]*(?:(?:option|choice|answer|letter)\s+)?[*_"'`([]*([A-Z]|[a-z](?=[)\]]))(?![\p{L}\p{N}'’])/iu;

/**
 * The letter that a response chooses: of its box or what else it marks as its answer; else one that stands alone in a line
 * (the last such), opens the response, or is the only one in brackets; else that of the only choice whose text it has.
 */
function chosenLetter(text: string, choices: readonly string[] | undefined): string | undefined {
  const known = alphabet.slice(0, choices?.length ?? alphabet.length);
  const valid = (letter: string | undefined) =>
    letter !== undefined && known.includes(letter.toUpperCase()) ? letter.toUpperCase() : undefined;
  const marked = lastBoxed(text) ?? markedAnswer(text) ?? said(text);
  if (marked !== undefined) {
    const letter = valid(leading(marked)) ?? textOf(marked, choices, known);
    if (letter !== undefined) return letter;
  }
  const alone = text.split("\n").flatMap((line) => /^[\s*_"'([]*([A-Z])[\s*_"')\].:]*$/.exec(line)?.[1] ?? []);
  const opening = /^[\s*_"']*([A-Z])[).:]/.exec(text);
  const bracketed = new Set([...text.matchAll(/\(([A-Z])\)/g)].map(([, letter]) => letter));
  return (
    valid(alone.at(-1)) ??
    valid(opening?.[1]) ??
    (bracketed.size === 1 ? valid([...bracketed][0]) : undefined) ??
    textOf(text, choices, known)
  );
}

/** "I choose B", "option (c) is correct". */
function said(text: string): string | undefined {
  const found = [
    ...text.matchAll(/\b(?:choose|pick|select)\s+(?:option\s+|choice\s+)?(\(?[A-Z]\)?(?![\p{L}\p{N}]))/gu),
    ...text.matchAll(/\b[Oo]ption\s+(\(?[A-Z]\)?)\s+is\s+(?:the\s+)?(?:correct|right|best)/g),
  ].sort((a, b) => a.index - b.index);
  return found.at(-1)?.[1];
}

function leading(marked: string): string | undefined {
  const letter = dressed.exec(marked)?.[1];
  if (letter === undefined) return undefined;
  // "a" and "i" are words too, unless they stand in brackets or alone.
  return letter !== letter.toUpperCase() && !/^[\s*_"'`$]*[([]/.test(marked) && marked.trim().length > 2
    ? undefined
    : letter;
}

function textOf(text: string, choices: readonly string[] | undefined, known: string): string | undefined {
  const whole = ` ${plain(text).replace(/[^\p{L}\p{N}]+/gu, " ")} `;
  const named = (choices ?? []).flatMap((choice, at) => {
    const words = plain(choice)
      .replace(/[^\p{L}\p{N}]+/gu, " ")
      .trim();
    return words !== "" && whole.includes(` ${words} `) ? [known[at]!] : [];
  });
  return named.length === 1 ? named[0] : undefined;
}

const choice = defineInstruction({
  id: "choice:answer",
  args: choiceArgs,
  follows: (text, { answer, choices }) => chosenLetter(text, choices) === rightLetter(answer, choices),
  describe: ({ answer, choices }) => `chooses ${rightLetter(answer, choices)}`,
});

export const choiceInstructions = [choice];
