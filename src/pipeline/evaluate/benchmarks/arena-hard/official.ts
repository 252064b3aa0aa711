import type { ArenaVersion } from "../../../../evaluation/index.ts";
import type { Answering } from "../../evaluation.ts";
import type { Judgement } from "../judged/judging.ts";
import { otherJudge, setKey } from "../judged/official.ts";
import { type ArenaPrompts, arenaPromptKey } from "./prompts.ts";
import type { ArenaAnswer, ArenaQuestion } from "./questions.ts";

interface Official {
  readonly judge: string;
  readonly questions: string;
  /** By category. */
  readonly baselines: Readonly<Record<string, string>>;
  readonly prompts: Readonly<Record<string, string>>;
  /** How often its judge is asked until there is a verdict. */
  readonly attempts: number;
}

/** What published figures stand on: the keys are of the texts in lmarena/arena-hard-auto (0489bf3 and 196f6b8). */
const official: Readonly<Record<ArenaVersion, Official>> = {
  "v0.1": {
    judge: "gpt-4-1106-preview",
    questions: "f66f6f57631de4a41281f6cc0d9b2663",
    baselines: { "arena-hard-v0.1": "gpt-4-0314" },
    prompts: { "arena-hard-v0.1": "cb11f459f27ec6a310ed72a27286c8e2" },
    attempts: 2,
  },
  "v2.0": {
    judge: "gpt-4.1",
    questions: "015958f421d8bf533efa70ec2d9c54de",
    baselines: { hard_prompt: "o3-mini-2025-01-31", creative_writing: "gemini-2.0-flash-001" },
    prompts: { hard_prompt: "cb11f459f27ec6a310ed72a27286c8e2", creative_writing: "4b2c4394c61b4c4e6fa630caeed1b755" },
    attempts: 1,
  },
};

export interface ArenaConditions {
  readonly judge: Answering;
  readonly constrained: boolean;
  readonly questions: readonly ArenaQuestion[];
  readonly baselines: ReadonlyMap<string, ArenaAnswer>;
  readonly prompts: ArenaPrompts;
  readonly judgements: readonly Judgement<unknown>[];
}

/** Why the figures may not stand beside published ones; none where they may. */
export function otherThanOfficial(version: ArenaVersion, conditions: ArenaConditions): string[] {
  const { judge, constrained, questions, baselines, prompts, judgements } = conditions;
  const wanted = official[version];
  const categories = [...new Set(questions.map(({ category }) => category))];
  const otherBaseline = questions.find(({ id, category }) => baselines.get(id)!.model !== wanted.baselines[category]);
  const late = judgements.filter(({ verdict, attempts }) => verdict !== null && attempts > wanted.attempts).length;
  return [
    otherJudge(judge, wanted.judge),
    setKey(questions.map(({ id, prompt }) => [id, prompt])) === wanted.questions
      ? undefined
      : `the questions are not those of Arena-Hard ${version}`,
    otherBaseline === undefined
      ? undefined
      : `the baseline is ${baselines.get(otherBaseline.id)!.model}, not ${wanted.baselines[otherBaseline.category] ?? Object.values(wanted.baselines).join(" and ")}`,
    categories.every((category) => arenaPromptKey(prompts, category) === wanted.prompts[category])
      ? undefined
      : "the judge's prompts are not the official ones",
    constrained ? "the judge is held to the form of a verdict" : undefined,
    late === 0
      ? undefined
      : `${late} verdicts came at an attempt that the official tool doesn't make (\`attempts: ${wanted.attempts}\` is its way)`,
  ].filter((reason) => reason !== undefined);
}
