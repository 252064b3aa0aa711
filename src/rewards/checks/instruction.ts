import { z } from "zod";

/** What can be verified of a response: an instruction in the manner of IFEval (Zhou et al. 2023, arXiv 2311.07911), an answer, a form. */
export interface Instruction {
  /** `group:name`; the official id of an instruction of IFEval. */
  readonly id: string;
  /** The arguments, of IFEval's under their official names; unknown ones are refused. */
  readonly args: z.ZodType;
  /**
   * How far the text follows the instruction, 0..1; most say 0 or 1 only. An empty text never does. Throws a ZodError
   * where `args` break the schema, and a DataError where it can't be told.
   */
  rate(text: string, args: unknown): number;
  /** The instruction in words. Throws a ZodError where `args` break the schema. */
  describe(args: unknown): string;
}

interface Definition<Args extends z.ZodType> {
  readonly id: string;
  readonly args: Args;
  /** Whether the text follows it, or how far, 0..1. */
  readonly follows: (text: string, args: z.infer<Args>) => boolean | number;
  readonly describe: (args: z.infer<Args>) => string;
}

/** An instruction whose `follows` and `describe` see checked arguments. */
export function defineInstruction<Args extends z.ZodType>(definition: Definition<Args>): Instruction {
  const { id, args: schema, follows, describe } = definition;
  return {
    id,
    args: schema,
    rate(text, args) {
      const given = schema.parse(args);
      return text.trim() === "" ? 0 : Number(follows(text, given));
    },
    describe: (args) => describe(schema.parse(args)),
  };
}

export const noArgs = z.strictObject({});
export const count = z.int().min(0);
export const phrase = z.string().refine((text) => text.trim() !== "", "must not be empty");

/** The two official relations. "At most n" is `less than` n + 1. */
export const relation = z.enum(["less than", "at least"]);

export function holds(actual: number, asked: z.infer<typeof relation>, threshold: number): boolean {
  return asked === "less than" ? actual < threshold : actual >= threshold;
}

/** `less than 1 word`, `at least 3 words`. */
export function amount(asked: z.infer<typeof relation>, threshold: number, noun: string): string {
  return `${asked} ${plural(threshold, noun)}`;
}

export function plural(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export function quoted(words: readonly string[]): string {
  return words.map((word) => `"${word}"`).join(", ");
}
