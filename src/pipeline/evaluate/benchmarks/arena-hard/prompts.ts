import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import type { ArenaVersion } from "../../../../evaluation/index.ts";
import { contentKey, DataError, type Message, utf8Text } from "../../../../schema/index.ts";
import { refused } from "../judged/rows.ts";
import { checkTemplate, filled } from "../judged/template.ts";

/** How the judge is asked. */
export interface ArenaPrompts {
  /** Throws DataError where the file has none for the category. */
  system(category: string): string;
  /** With {QUESTION}, {ANSWER_A} and {ANSWER_B}. */
  readonly template: string;
}

const places = ["QUESTION", "ANSWER_A", "ANSWER_B"] as const;

const ownSystem = (
  work: string,
) => `You compare two answers to one request. The first is by assistant A, the second by assistant B. Who they are is unknown, and which stands first means nothing.

${work} Then go through the answers one after the other: name what is wrong in each, what is missing and what is needless. Weigh first whether an answer is correct, next whether it does all that was asked, then whether it is to the point. Where a request can be read in two ways, an answer that asks which is meant is better than one that guesses.

When you have explained your judgement, close with exactly one of these labels, in double brackets:

[[A>>B]] A is much better
[[A>B]] A is a little better
[[A=B]] both are about equally good
[[B>A]] B is a little better
[[B>>A]] B is much better`;

const own: ArenaPrompts = {
  system: (category) =>
    ownSystem(
      category === "creative_writing"
        ? "Think of what the request wants to be: its tone, its form, its reader."
        : "First write down what you would answer yourself.",
    ),
  template: `Request:
{QUESTION}

=== Answer of assistant A ===
{ANSWER_A}
=== End of A's answer ===

=== Answer of assistant B ===
{ANSWER_B}
=== End of B's answer ===`,
};

const text = z.string().min(1);
const configSchema = z.object({
  prompt_template: z.union([text, z.array(text).length(1, "Arena-Hard has one template")]),
  /** One text, or one for each category. */
  system_prompt: z.union([text, z.record(z.string(), text)]),
});

/** The names that the template had up to September 2024. */
const earlier: Readonly<Record<string, string>> = {
  "{question_1}": "{QUESTION}",
  "{answer_1}": "{ANSWER_A}",
  "{answer_2}": "{ANSWER_B}",
};

/**
 * The prompts of arena-hard-auto's configuration in YAML; Amalgam's own without a file. v2.0's configuration has no `system_prompt`, which stands in its
 * code and is to be written into the file. Throws DataError for a file that has not both.
 */
export function arenaPrompts(file: string | undefined): ArenaPrompts {
  if (file === undefined) return own;
  const config = yamlOf(file);
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) {
    const ofV2 = parsed.error.issues[0]!.path[0] === "system_prompt" ? { hint: moreOfV2 } : {};
    throw refused(parsed.error, config, { file, ...ofV2 });
  }
  const { prompt_template, system_prompt } = parsed.data;
  const written = typeof prompt_template === "string" ? prompt_template : prompt_template[0]!;
  const template = written.replaceAll(/\{(?:question_1|answer_1|answer_2)\}/g, (name) => earlier[name]!);
  checkTemplate(template, places, { file, field: "prompt_template" });
  return {
    template,
    system: (category) => {
      const system = typeof system_prompt === "string" ? system_prompt : system_prompt[category];
      if (system !== undefined) return system;
      throw new DataError(`there is none for the category ${category}`, { file, field: "system_prompt" });
    },
  };
}

const moreOfV2 =
  "arena-hard-auto's v2.0 has its system prompts in `utils/judge_utils.py`: write them into the file as `system_prompt`, one text or a map from category to text.";

function yamlOf(file: string): unknown {
  const written = utf8Text(readFileSync(file));
  if (written === undefined) throw new DataError("the file is not UTF-8", { file, hint: "Save it as UTF-8." });
  try {
    return parse(written) as unknown;
  } catch (error) {
    throw new DataError(`this is no YAML: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`, {
      file,
    });
  }
}

/** What the judge is shown. */
export const arenaMessages = (
  { system, template }: ArenaPrompts,
  { category, prompt }: { readonly category: string; readonly prompt: string },
  [a, b]: readonly [string, string],
): Message[] => [
  { role: "system", content: system(category) },
  { role: "user", content: filled(template, { QUESTION: prompt, ANSWER_A: a, ANSWER_B: b }) },
];

/** What tells prompts of a category apart. */
export const arenaPromptKey = ({ system, template }: ArenaPrompts, category: string): string =>
  contentKey({ system: system(category), template });

/** The official judge's labels, for who is held to them. */
export const arenaVerdicts = "\\[\\[(A>>B|A>B|A=B|B>A|B>>A)\\]\\]";

/** The most tokens that the official tool lets its judge write. */
export const arenaJudgeTokens: Readonly<Record<ArenaVersion, number>> = { "v0.1": 4096, "v2.0": 16_000 };
