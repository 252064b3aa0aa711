import { z } from "zod";
import { defineInstruction } from "./instruction.ts";
import { remembered, type Tried, withinLimit } from "./time-limit.ts";

interface Pattern extends Tried {
  readonly regex: RegExp;
}

const compile = remembered<Pattern>(256, (key) => {
  const { pattern, flags } = JSON.parse(key) as { pattern: string; flags: string };
  return { what: `the pattern ${JSON.stringify(pattern)}`, overruns: 0, regex: new RegExp(pattern, `${flags}u`) };
});

const patternArgs = z
  .strictObject({
    /** A regular expression of JavaScript, found anywhere in the response. */
    pattern: z.string().min(1),
    /** i: case doesn't matter; m: ^ and $ are those of lines; s: the dot is a line break too. */
    flags: z
      .string()
      .regex(/^(?!.*(.).*\1)[ims]*$/, "some of i, m and s, each once")
      .default(""),
  })
  .superRefine(({ pattern, flags }, refinement) => {
    try {
      new RegExp(pattern, `${flags}u`);
    } catch (error) {
      const message = `is no regular expression: ${(error as Error).message}`;
      refinement.addIssue({ code: "custom", path: ["pattern"], message });
    }
  });

function found(text: string, { pattern, flags }: z.infer<typeof patternArgs>): boolean {
  const compiled = compile(JSON.stringify({ pattern, flags }));
  return withinLimit(compiled, () => compiled.regex.test(text));
}

const match = defineInstruction({
  id: "regex:match",
  args: patternArgs,
  follows: found,
  describe: ({ pattern, flags }) => `matches /${pattern}/${flags} somewhere`,
});

const noMatch = defineInstruction({
  id: "regex:no_match",
  args: patternArgs,
  follows: (text, args) => !found(text, args),
  describe: ({ pattern, flags }) => `matches /${pattern}/${flags} nowhere`,
});

export const regexInstructions = [match, noMatch];
