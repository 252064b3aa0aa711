import { z } from "zod";
import { type CheckSpec, DataError, issueWords, type Place, type Prompt } from "../../schema/index.ts";
import { type Language, languages } from "../sandbox/index.ts";

/** The id under which tests stand among a prompt's checks. */
export const codeTestsId = "code:tests";

const codeTestsSchema = z.strictObject({
  language: z.enum(languages),
  /** Code that fails by an assertion or another exception; or what a program is given and must write. */
  tests: z
    .array(
      z.union(
        [z.string().refine((text) => text.trim() !== ""), z.strictObject({ stdin: z.string(), stdout: z.string() })],
        {
          error: 'a test is code, or {"stdin": "...", "stdout": "..."}',
        },
      ),
    )
    .min(1),
  /** Code that comes before the response's: imports, helpers. */
  before: z.string().default(""),
});
export type CodeTests = z.infer<typeof codeTestsSchema>;
export type CodeTest = CodeTests["tests"][number];

/** What a check with tests says. Throws a DataError at `place` where it has another form. */
export function codeTestsOf({ args }: CheckSpec, place: Place & { readonly field: string }): CodeTests {
  const parsed = codeTestsSchema.safeParse(args);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const { message } = issueWords(issue, args);
  throw new DataError(`${codeTestsId}: ${message}`, {
    ...place,
    field: [place.field, "args", ...issue.path].join("."),
    hint: 'The arguments are {"language": "python", "tests": ["assert f(1) == 2", {"stdin": "1", "stdout": "2"}], "before": "import math"}.',
    cause: parsed.error,
  });
}

/** The tests of a prompt, of all its checks that have some. */
export function testsOfPrompt(prompt: Prompt): readonly CodeTests[] {
  return prompt.checks.flatMap((check, index) =>
    check.id === codeTestsId ? [codeTestsOf(check, { field: `prompt ${prompt.id}, checks.${index}` })] : [],
  );
}

/** What the language is called in the first line of a fenced block. */
export const fenceNames: Readonly<Record<Language, readonly string[]>> = {
  python: ["python", "python3", "py"],
  javascript: ["javascript", "js", "node", "mjs", "cjs"],
};
