import type { CheckSpec, Place, Prompt } from "../../schema/index.ts";
import { DataError, didYouMean, issueWords } from "../../schema/index.ts";
import { codeTestsId, codeTestsOf } from "../code/tests.ts";
import type { Instruction } from "./instruction.ts";
import { instructions, officialIds } from "./registry.ts";

/**
 * Holds every check of the prompts to the registry. Throws a DataError with file, line and field for the first unknown id
 * or wrong argument.
 */
export function validateChecks(placed: Iterable<{ readonly prompt: Prompt; readonly place: Place }>): void {
  for (const { prompt, place } of placed)
    for (const [index, check] of prompt.checks.entries()) {
      const at = { ...place, field: `checks.${index}` };
      if (check.id === codeTestsId) codeTestsOf(check, at);
      else instructionOf(check, at);
    }
}

const officialHint = "The arguments are those of the official IFEval instruction of this id.";
const otherHint = "The guide has the arguments of each check.";

/** The instruction that a check names, its arguments held to the schema. Throws a DataError at `place`. */
export function instructionOf({ id, args }: CheckSpec, place: Place & { field: string }): Instruction {
  const instruction = knownInstruction(id, place);
  const parsed = instruction.args.safeParse(args);
  if (parsed.success) return instruction;
  const issue = parsed.error.issues[0]!;
  const { message, hint = officialIds.has(id) ? officialHint : otherHint } = issueWords(issue, args);
  throw new DataError(`${id}: ${message}`, {
    ...place,
    field: [place.field, "args", ...issue.path].join("."),
    hint,
    cause: parsed.error,
  });
}

/** The instruction of this id, whatever its arguments. Throws a DataError at `place`. */
export function knownInstruction(id: string, place: Place & { field: string }): Instruction {
  const instruction = instructions.get(id);
  if (instruction !== undefined) return instruction;
  const known = [...instructions.keys(), codeTestsId];
  throw new DataError(`there is no check ${JSON.stringify(id)}`, {
    ...place,
    field: `${place.field}.id`,
    hint: `${didYouMean(id, known)}The checks are ${known.join(", ")}.`,
  });
}
