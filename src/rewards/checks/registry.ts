import { caseInstructions } from "./case.ts";
import { choiceInstructions } from "./choice.ts";
import { combinationInstructions } from "./combination.ts";
import { contentInstructions } from "./content.ts";
import { formatInstructions } from "./format.ts";
import type { Instruction } from "./instruction.ts";
import { jsonSchemaInstructions } from "./json-schema.ts";
import { keywordInstructions } from "./keywords.ts";
import { languageInstructions } from "./language.ts";
import { lengthInstructions } from "./length.ts";
import { matchInstructions } from "./match.ts";
import { mathematicsInstructions } from "./mathematics-instruction.ts";
import { punctuationInstructions } from "./punctuation.ts";
import { regexInstructions } from "./regex.ts";
import { repetitionInstructions } from "./repetition.ts";
import { startEndInstructions } from "./start-end.ts";
import { targetInstructions } from "./targets.ts";

/** The instructions of IFEval. */
const official: readonly Instruction[] = [
  ...keywordInstructions,
  ...languageInstructions,
  ...lengthInstructions,
  ...contentInstructions,
  ...formatInstructions,
  ...combinationInstructions,
  ...startEndInstructions,
  ...caseInstructions,
  ...punctuationInstructions,
];

/** Those of IFEval by their ids. */
export const officialIds: ReadonlySet<string> = new Set(official.map(({ id }) => id));

/** Every instruction that can be checked, by its id. A further one is added to its family's list. */
export const instructions: ReadonlyMap<string, Instruction> = new Map(
  [
    ...official,
    ...mathematicsInstructions,
    ...choiceInstructions,
    ...matchInstructions,
    ...regexInstructions,
    ...jsonSchemaInstructions,
    ...targetInstructions,
    ...repetitionInstructions,
  ].map((instruction) => [instruction.id, instruction]),
);
