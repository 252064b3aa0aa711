import { caseInstructions } from "./case.ts";
import { combinationInstructions } from "./combination.ts";
import { contentInstructions } from "./content.ts";
import { formatInstructions } from "./format.ts";
import type { Instruction } from "./instruction.ts";
import { keywordInstructions } from "./keywords.ts";
import { languageInstructions } from "./language.ts";
import { lengthInstructions } from "./length.ts";
import { punctuationInstructions } from "./punctuation.ts";
import { startEndInstructions } from "./start-end.ts";

/** Every instruction that can be checked, by its id. A further one is added to its family's list. */
export const instructions: ReadonlyMap<string, Instruction> = new Map(
  [
    ...keywordInstructions,
    ...languageInstructions,
    ...lengthInstructions,
    ...contentInstructions,
    ...formatInstructions,
    ...combinationInstructions,
    ...startEndInstructions,
    ...caseInstructions,
    ...punctuationInstructions,
  ].map((instruction) => [instruction.id, instruction]),
);
